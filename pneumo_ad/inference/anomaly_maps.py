"""Anomaly maps of what was scored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from pneumo_ad.patches import PatchGrid

# What a pixel's value in an anomaly map is the mean of, over the windows that cover the pixel: their residual at the
# pixel, or their scores.
MapOf = Literal["score", "residual"]


def mean_maps(
    scores: Mapping[str, npt.NDArray[np.float32]],
    sums: Mapping[str, npt.NDArray[np.floating]],
    grid: PatchGrid,
    map_of: MapOf | None,
) -> dict[str, npt.NDArray[np.float32]]:
    """(b, H, W) by name of score, NaN where no window lies; none where none are asked for.

    Args:
        scores: Scores of windows by name, (b, N) each.
        sums: Residuals by name, (b, H, W) each, summed over the windows that cover a pixel; for `residual`.
        grid: The windows.
        map_of: Values that maps are the mean of: `score` or `residual`; None makes no maps.

    >>> found = mean_maps({"score": np.array([[1, 3]], np.float32)}, {}, PatchGrid((2, 3), 1, 2), "score")
    >>> found["score"].tolist()
    [[[1.0, nan, 3.0], [nan, nan, nan]]]
    """
    if map_of == "score":
        return {name: grid.paint(torch.from_numpy(values))[:, 0].numpy() for name, values in scores.items()}
    if map_of == "residual":
        return {name: grid.mean(torch.from_numpy(total))[:, 0].float().numpy() for name, total in sums.items()}
    return {}
