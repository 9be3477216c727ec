"""Where a classifier looks: Grad-CAM, and how much of it falls into the lung field."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from captum.attr import LayerAttribution, LayerGradCam
from torch import Tensor, nn

from pneumo_ad.metrics.classification import resampled_means
from pneumo_ad.metrics.ranking import Interval, draw_patients, interval_of


def grad_cam(net: nn.Module, layer: nn.Module, x: Tensor) -> npt.NDArray[np.float32]:
    """Grad-CAM of the net's logit (Selvaraju et al. 2017, ICCV), brought to the image's size (bilinear).

    The layer's maps weighted by the mean of their gradients, summed, negative values cut off: what speaks for
    pneumonia, never what speaks against it.

    Args:
        net: (B, 1, H, W) -> (B,) logits, in evaluation mode.
        layer: Layer of the net whose output (B, C, h, w) is weighted.
        x: Radiographs, (B, 1, H, W) in [0, 1].

    Returns:
        (B, H, W) at least 0, in the logit's own unit; all 0 where nothing speaks for pneumonia.
    """
    assert not net.training, "dropout and batch statistics would change the map"
    with torch.enable_grad():
        maps = LayerGradCam(net, layer).attribute(x, relu_attributions=True)
    raised = LayerAttribution.interpolate(maps.detach(), tuple(x.shape[2:]), "bilinear")
    return raised[:, 0].float().cpu().numpy()


def share_inside(cams: npt.NDArray[np.floating], fields: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
    """Share of each map's mass that lies inside a field.

    Args:
        cams: (B, H, W) at least 0.
        fields: (B, H, W) of 0 and 1.

    Returns:
        (B,) in [0, 1]; NaN for a map that is 0 everywhere.

    >>> share_inside(np.ones((1, 2, 2)), np.array([[[1, 0], [0, 0]]]))
    array([0.25])
    """
    mass = cams.sum(axis=(1, 2), dtype=np.float64)
    inside = (cams * (fields == 1)).sum(axis=(1, 2), dtype=np.float64)
    return inside / np.where(mass > 0, mass, np.nan)


def compare_with_area(
    shares: npt.NDArray[np.floating],
    areas: npt.NDArray[np.floating],
    patients: npt.NDArray[np.str_] | npt.NDArray[np.integer],
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Interval]:
    """Mean share of Grad-CAM in the lung field, beside what a map that looks everywhere alike would reach: its area.

    Args:
        shares: (n,) `share_inside` of each radiograph, none NaN.
        areas: (n,) share of the image's pixels that are lung field, above 0.
        patients: (n,) whose radiograph it is; what the bootstrap draws.
        resamples: Number of bootstrap resamples.
        seed: Fixes the resamples.

    Returns:
        `share_in_lung`, `lung_share_of_area`, their `difference` and `ratio` (of the means), each with its 95 %
        percentile bootstrap interval over the same resamples.
    """
    owner, weights = draw_patients(patients, resamples, seed)
    share, area = (resampled_means(values, owner, weights) for values in (shares, areas))
    mean_share, mean_area = float(np.mean(shares)), float(np.mean(areas))
    return {
        "share_in_lung": Interval(mean_share, *interval_of(share)),
        "lung_share_of_area": Interval(mean_area, *interval_of(area)),
        "difference": Interval(mean_share - mean_area, *interval_of(share - area)),
        "ratio": Interval(mean_share / mean_area, *interval_of(share / area)),
    }
