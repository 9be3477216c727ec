"""Kinds of pixels, from an anomaly map or from the likeliest kinds of windows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from pneumo_ad.labels import UNKNOWN
from pneumo_ad.metrics.thresholds import Thresholds
from pneumo_ad.patches import PatchGrid


def pixel_kinds(
    anomaly: npt.NDArray[np.float32],
    likeliest: npt.NDArray[np.int8] | None,
    thresholds: Thresholds,
    grid: PatchGrid,
) -> npt.NDArray[np.uint8]:
    """Classify each pixel, (H, W) uint8: healthy, opacity or outside; unknown where no window lies.

    Args:
        anomaly: (H, W) float32 anomaly map, NaN where no window lies.
        likeliest: (H, W) likeliest kind of each pixel; or (N,) of each window: a pixel is then of the kind of most
            windows that cover it, the first of `labels.KINDS` in a draw. None classifies by the map.
        thresholds: Thresholds between the kinds.
        grid: Grid of the windows.

    >>> pixel_kinds(np.array([[0.1, 0.9, np.nan]], np.float32), None, Thresholds(0.5), PatchGrid((1, 3), 1, 1)).tolist()
    [[0, 1, 5]]
    """
    if likeliest is not None and likeliest.ndim == 1:
        votes = np.stack([likeliest == kind for kind in thresholds.kinds]).astype(np.float32)
        painted = grid.paint(torch.from_numpy(votes))[:, 0].numpy()  # NaN where no window lies
        likeliest = np.nan_to_num(painted).argmax(axis=0).astype(np.int8)
    kinds = thresholds.classify(anomaly, likeliest)
    return np.where(np.isnan(anomaly), UNKNOWN, kinds).astype(np.uint8)
