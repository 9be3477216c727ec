"""A file becomes grey values: the one door through which every image and mask enters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from pneumo_ad.data.dicom import DICOM_SUFFIXES, is_dicom, read_dicom
from pneumo_ad.data.limits import MOST_PIXELS, check_size
from pneumo_ad.data.quiet import ignore_warnings
from pneumo_ad.data.window import Window, apply_window, intensity_window
from pneumo_ad.errors import DataError

_BAND = 64  # rows

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}) | DICOM_SUFFIXES


def looks_like_radiograph(path: Path) -> bool:
    """Whether a file of a folder is worth a try: by its suffix, or DICOM by its content, as scanners name no suffix.

    Hidden files and a DICOMDIR, which is an index, are not.
    """
    if path.name.startswith(".") or path.stem.upper() == "DICOMDIR" or not path.is_file():
        return False
    return path.suffix.lower() in SUFFIXES or is_dicom(path)


def open_image(path: str | Path) -> Image.Image:
    """Decode a file that is not DICOM completely, upright; of a JPEG in colour the luminance.

    Raises:
        DataError: The file is missing, is not an image, ends too early, or has more than `MOST_PIXELS`; names the file
            and the reason.
    """
    ignore_warnings(Image.DecompressionBombWarning)  # we have a limit of our own
    try:
        with Image.open(path) as image:
            check_size(path, image.height, image.width)
            image.draft("L", None)  # a JPEG in colour holds its luminance: the rest is not decoded
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
            return image
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except Image.DecompressionBombError:
        raise DataError(
            f"{path}: has more than {MOST_PIXELS / 1e6:.0f} megapixels, the most that is read; make it smaller first"
        ) from None
    except (OSError, ValueError, SyntaxError, EOFError) as reason:
        raise DataError(f"{path}: cannot be decoded as an image ({reason})") from reason


def read_pixels(path: str | Path) -> npt.NDArray[np.generic]:
    """(H, W) grey values as stored: uint8, or uint16/int32/float32 for deeper files.

    Colour, palette and CMYK become luminance (ITU-R 601-2); transparency is laid over black. How a DICOM file is to be
    shown is not in its pixels alone: `read_grey` tells.

    Raises:
        DataError: As `open_image` and `read_dicom`.
    """
    return read_dicom(path)[0] if is_dicom(path) else _levels(path)


def _levels(path: str | Path) -> npt.NDArray[np.generic]:
    """`read_pixels` of a file that is not DICOM."""
    image = open_image(path)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        pixels = _deep(image)
        if isinstance(clear := image.info.get("transparency"), int):
            pixels = np.where(pixels == clear, 0, pixels).astype(pixels.dtype)
        if not np.isfinite(pixels).all():
            raise DataError(f"{path}: holds values that are not finite")
        return pixels
    if image.mode in ("1", "L", "P", "RGB") and "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa"):
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
    if image.mode not in ("1", "L", "RGB"):
        image = image.convert("RGB")
    return np.asarray(image if image.mode == "L" else image.convert("L"))


def _deep(image: Image.Image) -> npt.NDArray[np.generic]:
    """The array of a deep image, band by band: Pillow's bytes of the whole take longer than resizing it."""
    pixels = np.empty((image.height, image.width), np.asarray(image.crop((0, 0, 1, 1))).dtype)
    for top in range(0, image.height, _BAND):
        rows = pixels[top : top + _BAND]
        rows[:] = np.asarray(image.crop((0, top, image.width, top + len(rows))))
    return pixels


def read_grey(path: str | Path) -> tuple[npt.NDArray[np.generic], Window]:
    """Grey values as stored, and which of them become black and white.

    Returns:
        (H, W) as `read_pixels`, and the window for `apply_window`: of DICOM what the header asks for, else
        `intensity_window`.

    Raises:
        DataError: As `read_pixels`.
    """
    if is_dicom(path):
        return read_dicom(path)
    pixels = _levels(path)
    return pixels, intensity_window(pixels)


def read_radiograph(path: str | Path) -> npt.NDArray[np.float32]:
    """Read a radiograph at its own size and full depth.

    Returns:
        (1, H, W) float32 in [0, 1].

    Raises:
        DataError: The file cannot be read; names it and the reason.
    """
    return apply_window(*read_grey(path))[None]


def read_mask(path: str | Path) -> npt.NDArray[np.bool_]:
    """(H, W) bool: whatever is not 0; in masks of bright grey values whatever lies above half of the brightest.

    Masks come as 0/1, as labels 0/1/2, as 0/255 and as JPEG with ringing; an empty mask stays empty.

    Raises:
        DataError: The file cannot be read; names it and the reason.
    """
    pixels: npt.NDArray[Any] = read_pixels(path)
    brightest = pixels.max()
    half = brightest // 2 if pixels.dtype.kind in "iu" else brightest / 2  # of whole numbers the same pixels lie above
    above: npt.NDArray[np.bool_] = pixels > (half if brightest >= 128 else 0)
    return above
