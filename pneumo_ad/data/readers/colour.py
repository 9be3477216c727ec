"""Detection of colour images, which are no radiographs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

_SIDE = 64  # side in pixels of the reduced image that is examined
_COLOURED = 12  # mean of max - min of red, green and blue, in grey levels; above it an image is in colour


def in_colour(path: str | Path, image: Image.Image) -> bool:
    """Whether an image is in colour; grey levels stored as RGB, and small marks in colour, do not count.

    Args:
        path: File of the image, not DICOM.
        image: Pillow's image, as `open_image` decoded it.
    """
    if image.format in ("JPEG", "MPO"):  # of which only the luminance was decoded
        with Image.open(path, formats=["JPEG"]) as again:
            again.draft("RGB", (_SIDE, _SIDE))  # at an eighth of its size
            return _coloured(again)
    return _coloured(image)


def _coloured(image: Image.Image) -> bool:
    if image.mode in ("1", "L", "LA", "La", "I", "F") or image.mode.startswith("I;16"):
        return False
    small = np.asarray(image.convert("RGB").resize((_SIDE, _SIDE), Image.Resampling.BOX), dtype=np.int16)
    return bool(np.ptp(small, axis=2).mean() > _COLOURED)
