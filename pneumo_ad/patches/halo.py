"""Halo, the surroundings of a patch in the net's input: mirrored at the image border, cut from the output."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt
from torch import Tensor

from pneumo_ad.errors import ConfigError

Places = TypeVar("Places", npt.NDArray[np.int64], Tensor)


def mirrored(places: Places, length: int) -> Places:
    """Mirror positions up to `length` - 1 pixels beyond the ends of a side into it; the ends are not repeated.

    Args:
        places: Integer positions, numpy array or tensor of any shape.
        length: Length of the side in pixels.

    >>> mirrored(np.arange(-2, 6), 4).tolist()
    [2, 1, 0, 1, 2, 3, 2, 1]
    """
    return length - 1 - abs(length - 1 - abs(places))


def check_halo(halo: int, image_size: tuple[int, int]) -> None:
    """Check that windows can be cut with a halo.

    Args:
        halo: Pixels of surroundings on every side.
        image_size: Height and width of the images in pixels.

    Raises:
        ConfigError: Negative halo, or an image too small to mirror it.
    """
    if halo < 0:
        raise ConfigError(f"halo={halo} must be 0 or more pixels")
    if halo >= min(image_size):
        height, width = image_size
        raise ConfigError(
            f"halo={halo} cannot be mirrored at the border of images of {height} x {width} pixels; the largest that "
            f"works is halo={min(image_size) - 1}: take larger images (image_size) or a smaller halo"
        )
