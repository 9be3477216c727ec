"""The surroundings of a patch that a net is shown: mirrored where the image ends, cut off from what it answers."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt
from torch import Tensor

from pneumo_ad.errors import ConfigError

Places = TypeVar("Places", npt.NDArray[np.int64], Tensor)


def mirrored(places: Places, length: int) -> Places:
    """Places along a side that may lie up to `length` - 1 beyond its ends, mirrored into it; the ends are not repeated.

    Args:
        places: Whole numbers of any shape, of numpy or torch.
        length: Length of the side in pixels.

    >>> mirrored(np.arange(-2, 6), 4).tolist()
    [2, 1, 0, 1, 2, 3, 2, 1]
    """
    return length - 1 - abs(length - 1 - abs(places))


def check_halo(halo: int, image_size: tuple[int, int]) -> None:
    """See that windows can be cut with so many pixels of surroundings.

    Args:
        halo: Pixels on every side.
        image_size: Height and width in pixels.

    Raises:
        ConfigError: A negative halo, or one that the image is too small to mirror.
    """
    if halo < 0:
        raise ConfigError(f"halo={halo} must be 0 or more pixels")
    if halo >= min(image_size):
        height, width = image_size
        raise ConfigError(
            f"halo={halo} cannot be mirrored at the border of images of {height} x {width} pixels; the largest that "
            f"works is halo={min(image_size) - 1}: take larger images (image_size) or a smaller halo"
        )
