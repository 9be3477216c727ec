"""Background of a radiograph: the dark air beside the body."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

_DARK = 0.15  # share of the radiograph's 99 % quantile, since exposures differ; lungs stay above it


def background(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Return dark pixels that are connected with the image's border through dark pixels.

    Dark is at most 15 % of the radiograph's 99 % quantile. Lungs are dark too, but the body lies between them and the
    border; letters on the background, and what they enclose, are not background.

    Args:
        image: (H, W) uint8 grey levels.

    Returns:
        (H, W) bool.

    >>> picture = np.full((5, 7), 200, dtype=np.uint8)
    >>> picture[:, 0], picture[2, 3] = 3, 3  # air on the left, a dark spot inside
    >>> background(picture).sum(axis=0)
    array([5, 0, 0, 0, 0, 0, 0])
    """
    dark = image <= _DARK * np.quantile(image, 0.99)
    border = np.ones(image.shape, dtype=bool)
    border[1:-1, 1:-1] = False
    found: npt.NDArray[np.bool_] = ndimage.binary_propagation(border & dark, mask=dark)
    return found
