"""A file becomes what a judge looks at, as it would for a store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pneumo_ad.data.fit import Fit, Placement, fit_image
from pneumo_ad.data.radiograph import apply_window, intensity_window, read_pixels
from pneumo_ad.errors import DataError
from pneumo_ad.patches import PatchGrid

PICTURE_SIDE = 1024  # longest side of a picture to look at


@dataclass(frozen=True)
class Decoded:
    """A radiograph as read.

    Attributes:
        image: (H, W) uint8 grey levels, fitted.
        placement: Where it lies in `image`.
        size: Height and width of the file in pixels.
        picture: (h, w) uint8 to look at, own pixels up to a longest side of 1024; None where nobody will.
    """

    image: npt.NDArray[np.uint8]
    placement: Placement
    size: tuple[int, int]
    picture: npt.NDArray[np.uint8] | None

    @property
    def content(self) -> npt.NDArray[np.uint8]:
        """(H, W) of 0 and 1: what is radiograph and not padding."""
        inside = np.zeros(self.image.shape, dtype=np.uint8)
        self.inner(inside)[:] = 1
        return inside

    def inner(self, fitted: npt.NDArray) -> npt.NDArray:
        """What of an (H, W) array is radiograph and not padding, a view."""
        p = self.placement
        return fitted[p.top : p.top + p.height, p.left : p.left + p.width]


def decode(path: Path, grid: PatchGrid, fit: Fit, picture: bool) -> Decoded:
    """Read a file and fit it.

    Args:
        path: Of the file.
        grid: Gives the size to fit to.
        fit: See `place`.
        picture: Whether a picture to look at is wanted too.

    Raises:
        DataError: It cannot be read, or is smaller than a patch: enlarged, it would show nothing but interpolation.
    """
    pixels = read_pixels(path)
    size = (pixels.shape[0], pixels.shape[1])
    if min(size) < max(grid.patch, 2):
        raise DataError(f"{path}: {size[0]} x {size[1]} pixels, smaller than a patch of {grid.patch}")
    shallow = pixels if pixels.dtype == np.uint8 else apply_window(pixels, intensity_window(pixels))
    image, placement = fit_image(shallow, grid.image_size, fit)  # type: ignore[arg-type]
    shown = None
    if picture:
        scale = min(1.0, PICTURE_SIDE / max(size))
        small = (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))
        shown = fit_image(shallow, small, "squash")[0]  # type: ignore[arg-type]
    return Decoded(image, placement, size, shown)
