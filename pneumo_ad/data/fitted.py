"""Reading and fitting of one radiograph, for stores and predictions."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from pneumo_ad.data.fit import Fit, fit_image
from pneumo_ad.data.readers.radiograph import read_file
from pneumo_ad.data.readers.window import Window, displayed
from pneumo_ad.errors import DataError
from pneumo_ad.patches.placement import Placement


class Fitted(NamedTuple):
    """Fitted radiograph, with the image that it was read from.

    Attributes:
        image: (H, W) uint8 grey levels, fitted.
        placement: Placement of the radiograph in `image`.
        size: Height and width of the file in pixels.
        window: Grey values that became black and white.
        shown: Pillow's image of the file through the window, at its original size (`displayed`).
        opened: Pillow's image as `open_image` decoded it; None for DICOM.
    """

    image: npt.NDArray[np.uint8]
    placement: Placement
    size: tuple[int, int]
    window: Window
    shown: Image.Image
    opened: Image.Image | None


def read_fitted(path: str | Path, image_size: tuple[int, int], fit: Fit) -> Fitted:
    """Read a radiograph and fit it.

    Args:
        path: File to read.
        image_size: Height and width of the fitted radiograph in pixels.
        fit: See `place`.

    Raises:
        DataError: The file cannot be read, or has fewer than 2 x 2 pixels.
    """
    pixels, window, opened = read_file(path)
    height, width = pixels.shape
    if min(height, width) < 2:
        raise DataError(f"{path}: {height} x {width} pixels are no image; expected at least 2 x 2")
    shown = displayed(pixels, window)
    return Fitted(*fit_image(shown, image_size, fit), (height, width), window, shown, opened)
