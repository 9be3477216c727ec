"""A file becomes grey values: the one door through which every image and mask enters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from pneumo_ad.errors import DataError

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
# Deeper files rarely use their whole range (12 bits in 16): the window between these percentiles becomes [0, 1].
WINDOW_PERCENTILES = (0.1, 99.9)


def open_image(path: str | Path) -> Image.Image:
    """Decode a file completely, upright.

    Raises:
        DataError: The file is missing, is not an image, or ends too early; names the file and the reason.
    """
    try:
        with Image.open(path) as image:
            image.load()
            return ImageOps.exif_transpose(image)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as reason:
        raise DataError(f"{path}: cannot be decoded as an image ({reason})") from reason


def read_pixels(path: str | Path) -> npt.NDArray[np.generic]:
    """(H, W) grey values as stored: uint8, or uint16/int32/float32 for deeper files.

    Colour, palette and CMYK become luminance (ITU-R 601-2); transparency is laid over black.

    Raises:
        DataError: As `open_image`.
    """
    image = open_image(path)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        pixels = np.asarray(image)
        if not np.isfinite(pixels).all():
            raise DataError(f"{path}: holds values that are not finite")
        return pixels
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa"):
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
    return np.asarray(image.convert("RGB").convert("L") if image.mode not in ("1", "L") else image.convert("L"))


def intensity_window(pixels: npt.NDArray[np.generic]) -> tuple[float, float]:
    """Grey values that become 0 and 1: the full range for 8 bit, percentiles for deeper files.

    >>> intensity_window(np.zeros((2, 2), dtype=np.uint8))
    (0.0, 255.0)
    """
    if pixels.dtype == np.uint8:
        return 0.0, 255.0
    low, high = np.percentile(pixels.astype(np.float64), WINDOW_PERCENTILES)
    return float(low), float(high if high > low else low + 1)


def apply_window(pixels: npt.NDArray[np.generic], window: tuple[float, float]) -> npt.NDArray[np.float32]:
    """(H, W) float32 in [0, 1]: `window` stretched, values beyond it clipped.

    Args:
        pixels: (H, W) of any depth.
        window: Grey values that become 0 and 1.
    """
    low, high = window
    return np.clip((pixels.astype(np.float32) - low) / (high - low), 0.0, 1.0)


def read_radiograph(path: str | Path) -> npt.NDArray[np.float32]:
    """Read a radiograph at its own size and full depth.

    Returns:
        (1, H, W) float32 in [0, 1].

    Raises:
        DataError: The file cannot be read; names it and the reason.
    """
    pixels = read_pixels(path)
    return apply_window(pixels, intensity_window(pixels))[None]


def read_mask(path: str | Path) -> npt.NDArray[np.bool_]:
    """(H, W) bool: whatever is not 0; in masks of bright grey values whatever lies above half of the brightest.

    Masks come as 0/1, as labels 0/1/2, as 0/255 and as JPEG with ringing; an empty mask stays empty.

    Raises:
        DataError: The file cannot be read; names it and the reason.
    """
    pixels = np.asarray(read_pixels(path), dtype=np.float64)
    return pixels > (pixels.max() / 2 if pixels.max() >= 128 else 0)
