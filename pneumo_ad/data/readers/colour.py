"""Whether a picture is in colour, as no radiograph is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

_SIDE = 64  # pixels that are looked at, per side
_COLOURED = 12  # mean distance of the strongest from the weakest of red, green and blue, in grey levels


def in_colour(path: str | Path, image: Image.Image) -> bool:
    """Whether a file shows colours, and not grey levels written as colours; a small mark in colour is none.

    Args:
        path: A file that is no DICOM.
        image: Pillow's image of it, as `open_image` decoded it.
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
