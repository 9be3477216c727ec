"""Grad-CAM of a classifier, and its share inside the lung field."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from captum.attr import LayerAttribution, LayerGradCam
from torch import Tensor, nn

from pneumo_ad.metrics.classification import resampled_means
from pneumo_ad.metrics.ranking import Interval, Patients, Scores, draw_patients, interval_of


def grad_cam(net: nn.Module, layer: nn.Module, x: Tensor) -> npt.NDArray[np.float32]:
    """Compute Grad-CAM of the net's logit (Selvaraju et al. 2017, ICCV), resized to the image (bilinear).

    It is the sum of the layer's maps, weighted by the mean of their gradients, with negative values set to 0: evidence
    for pneumonia, never against it.

    Args:
        net: (B, 1, H, W) -> (B,) logits, in evaluation mode.
        layer: Layer of the net whose output (B, C, h, w) is weighted.
        x: Radiographs, (B, 1, H, W) in [0, 1].

    Returns:
        (B, H, W) float32 maps, 0 or more, in units of the logit; 0 everywhere without evidence for pneumonia.
    """
    assert not net.training, "dropout and batch statistics would change the map"
    with torch.enable_grad():
        maps = LayerGradCam(net, layer).attribute(x, relu_attributions=True)
    raised = LayerAttribution.interpolate(maps.detach(), tuple(x.shape[2:]), "bilinear")
    return raised[:, 0].float().cpu().numpy()


def share_inside(cams: npt.NDArray[np.floating], fields: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
    """Compute the share of each map's sum that lies inside a lung field.

    Args:
        cams: (B, H, W) maps, 0 or more.
        fields: (B, H, W) lung fields, 0 or 1.

    Returns:
        (B,) shares in [0, 1]; NaN for a map that is 0 everywhere.

    >>> share_inside(np.ones((1, 2, 2)), np.array([[[1, 0], [0, 0]]]))
    array([0.25])
    """
    mass = cams.sum(axis=(1, 2), dtype=np.float64)
    inside = (cams * (fields == 1)).sum(axis=(1, 2), dtype=np.float64)
    return inside / np.where(mass > 0, mass, np.nan)


def compare_with_area(shares: Scores, areas: Scores, patients: Patients) -> dict[str, Interval]:
    """Compare the mean share of Grad-CAM in the lung field with that of a uniform map, the share of its area.

    Args:
        shares: (n,) `share_inside` of each radiograph, none NaN.
        areas: (n,) share of the image's pixels inside the lung field, above 0.
        patients: (n,) patient of each radiograph; the bootstrap resamples patients.

    Returns:
        `share_in_lung`, `lung_share_of_area`, their `difference` and `ratio` (of the means), each with its 95 %
        percentile bootstrap interval over the same resamples.
    """
    owner, weights = draw_patients(patients)
    share, area = (resampled_means(values, owner, weights) for values in (shares, areas))
    mean_share, mean_area = float(np.mean(shares)), float(np.mean(areas))
    return {
        "share_in_lung": Interval(mean_share, *interval_of(share)),
        "lung_share_of_area": Interval(mean_area, *interval_of(area)),
        "difference": Interval(mean_share - mean_area, *interval_of(share - area)),
        "ratio": Interval(mean_share / mean_area, *interval_of(share / area)),
    }
