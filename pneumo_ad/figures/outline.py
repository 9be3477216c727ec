"""Outline of a mask along the edges of its pixels, so that what touches has one outline."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def outline_segments(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Trace every edge between a pixel of a mask and one that is not; the outside of the image is not.

    Args:
        mask: (H, W) bool.

    Returns:
        (n, 2, 2) straight segments, as long as they can be: both ends, x before y, where pixels have their centres at
        whole numbers.

    >>> outline_segments(np.array([[True, True]]))[0].tolist()
    [[-0.5, -0.5], [1.5, -0.5]]
    """
    padded = np.pad(mask, 1)
    lying = _runs(padded[1:] != padded[:-1])
    upright = _runs((padded[:, 1:] != padded[:, :-1]).T)[..., ::-1]
    return np.concatenate([lying, upright])


def _runs(edges: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Join neighbours in the rows of (n, m) unit edges: (k, 2, 2) ends of each run."""
    steps = np.diff(np.pad(edges, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    row, first = np.nonzero(steps == 1)
    end = np.nonzero(steps == -1)[1]
    at = row - 0.5
    return np.stack([np.stack([first - 1.5, at], axis=1), np.stack([end - 1.5, at], axis=1)], axis=1)
