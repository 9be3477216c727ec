"""Decoding of an image file to the input of a predictor, fitted as in a store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from pneumo_ad.data.fit import Fit, fit_image
from pneumo_ad.data.fitted import read_fitted
from pneumo_ad.data.readers.colour import in_colour
from pneumo_ad.data.readers.dicom_facts import dicom_facts
from pneumo_ad.errors import DataError
from pneumo_ad.patches import PatchGrid
from pneumo_ad.patches.placement import Placement

PICTURE_SIDE = 768  # longest side of an overlay in pixels; writing a larger one takes longer than the prediction


@dataclass(frozen=True)
class Decoded:
    """A decoded radiograph.

    Attributes:
        image: (H, W) uint8 grey levels, fitted.
        placement: Rectangle of the radiograph in `image`, without padding.
        size: Height and width of the file in pixels.
        picture: (h, w) uint8 for display, reduced to a longest side of at most 768 pixels; None if not requested.
        doubts: Reasons, from header or colours, why it may not be a frontal chest radiograph.
    """

    image: npt.NDArray[np.uint8]
    placement: Placement
    size: tuple[int, int]
    picture: npt.NDArray[np.uint8] | None
    doubts: Sequence[str] = ()

    @property
    def content(self) -> npt.NDArray[np.uint8]:
        """(H, W) uint8 mask, 1 for radiograph and 0 for padding."""
        height, width = self.image.shape
        return self.placement.content((height, width))


def decode(path: Path, grid: PatchGrid, fit: Fit, picture: bool) -> Decoded:
    """Read a file and fit it.

    Args:
        path: File to read.
        grid: Grid of windows, with the size of the fitted image.
        fit: Fit to the size of the grid, see `place`.
        picture: Whether to make a picture for display too.

    Raises:
        DataError: The file cannot be read, or is smaller than a patch: fitting would only interpolate.
    """
    image, placement, size, _, shown, opened = read_fitted(path, grid.image_size, fit)
    if min(size) < grid.patch:
        raise DataError(f"{path}: {size[0]} x {size[1]} pixels, smaller than a patch of {grid.patch}")
    small_picture = None
    if picture:
        scale = min(1.0, PICTURE_SIDE / max(size))
        small = (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))
        small_picture = fit_image(shown, small, "squash")[0]
    return Decoded(image, placement, size, small_picture, _doubts(path, opened))


def _doubts(path: Path, opened: Image.Image | None) -> Sequence[str]:
    if opened is None:
        return dicom_facts(path).doubts
    try:
        return ("in colour (photograph?)",) if in_colour(path, opened) else ()
    except Exception:  # Pillow raises errors of any type
        return ()
