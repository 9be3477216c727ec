"""A file becomes grey values: the one door through which every image and mask enters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from pneumo_ad.data.dicom import DICOM_SUFFIXES, is_dicom, read_dicom
from pneumo_ad.data.limits import MOST_PIXELS, check_size
from pneumo_ad.data.quiet import ignore_warnings
from pneumo_ad.data.window import Window, apply_window, intensity_window
from pneumo_ad.errors import DataError

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}) | DICOM_SUFFIXES


def looks_like_radiograph(path: Path) -> bool:
    """Whether a file of a folder is worth a try: by its suffix, or DICOM by its content, as scanners name no suffix.

    Hidden files and a DICOMDIR, which is an index, are not.
    """
    if path.name.startswith(".") or path.stem.upper() == "DICOMDIR" or not path.is_file():
        return False
    return path.suffix.lower() in SUFFIXES or is_dicom(path)


def open_image(path: str | Path) -> Image.Image:
    """Decode a file that is not DICOM completely, upright.

    Raises:
        DataError: The file is missing, is not an image, ends too early, or has more than `MOST_PIXELS`; names the file
            and the reason.
    """
    ignore_warnings(Image.DecompressionBombWarning)  # we have a limit of our own
    try:
        with Image.open(path) as image:
            check_size(path, image.height, image.width)
            image.load()
            return ImageOps.exif_transpose(image)
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
    if is_dicom(path):
        return read_dicom(path)[0]
    image = open_image(path)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        pixels = np.asarray(image)
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
    return np.asarray(image.convert("RGB").convert("L") if image.mode not in ("1", "L") else image.convert("L"))


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
    pixels = read_pixels(path)
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
    pixels = np.asarray(read_pixels(path), dtype=np.float64)
    return pixels > (pixels.max() / 2 if pixels.max() >= 128 else 0)
