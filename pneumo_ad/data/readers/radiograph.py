"""Reading of image files: every radiograph and mask is read here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from pneumo_ad.data.readers.dicom import DICOM_SUFFIXES, is_dicom, read_dicom
from pneumo_ad.data.readers.limits import MOST_PIXELS, ONE, check_size
from pneumo_ad.data.readers.quiet import ignore_warnings
from pneumo_ad.data.readers.tiff import TiffPage, as_meant, find_page
from pneumo_ad.data.readers.tiff_checks import SAVE_AS
from pneumo_ad.data.readers.window import Window, apply_window, intensity_window
from pneumo_ad.errors import DataError

_BAND = 64  # rows
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")  # not all of Pillow's: some start other programs
_UNKNOWN = "expected BMP, GIF, JPEG, PNG, TIFF or WebP, not cut at its beginning"
_FEW_BITS = {"L;2": 85, "L;4": 17}  # Pillow's raw modes of 2 and 4 bits -> factor by which it stretches grey levels
_MP_ENTRIES = 0xB002  # the list of pictures in a JPEG: CIPA DC-007 (2009), 5.2.3.3

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}) | DICOM_SUFFIXES


def looks_like_radiograph(path: Path) -> bool:
    """Whether a file may be a radiograph: by its suffix, or as DICOM by its content, as scanners write no suffix.

    Hidden files and a DICOMDIR, which is an index, are not.
    """
    if path.name.startswith(".") or path.stem.upper() == "DICOMDIR" or not path.is_file():
        return False
    return path.suffix.lower() in SUFFIXES or is_dicom(path)


def open_image(path: str | Path) -> tuple[Image.Image, TiffPage | None]:
    """Decode a file that is not DICOM completely, and turn it upright; a JPEG in colour yields its luminance.

    The format is determined by the content, not by the suffix.

    Returns:
        Pillow's image; for a TIFF also the page that it shows.

    Raises:
        DataError: The file is missing, is not an image, is truncated, holds more than one picture, has more than
            `MOST_PIXELS`, or has unsupported tags (`tiff_checks`); names the file and the reason.
    """
    ignore_warnings(Image.DecompressionBombWarning)  # `MOST_PIXELS` is the limit here
    ignore_warnings(UserWarning, r"PIL\.")  # they name no file; the checks here raise errors that do
    page = None
    try:
        # Not by its path: Pillow memory-maps some files then, and swaps the sides of those with an orientation.
        with Path(path).open("rb") as file:
            page = find_page(path, file)
            file.seek(0)
            image = Image.open(file, formats=FORMATS)
            if page:
                image.seek(page.number)
            else:
                _refuse_frames(path, image)
            check_size(path, image.height, image.width)
            raw = str(image.tile[0][3]) if image.tile else ""  # Pillow's name of the samples
            image.draft("L", None)  # decodes only the luminance of a JPEG in colour
            image.load()
        ImageOps.exif_transpose(image, in_place=True)
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except Image.DecompressionBombError:
        raise DataError(
            f"{path}: has more than {MOST_PIXELS / 1e6:.0f} megapixels, the most that is read; make it smaller first"
        ) from None
    except Exception as reason:  # damaged files make Pillow raise errors of many types
        if page:
            raise DataError(f"{path}: is damaged, or a TIFF that is not read ({page}); {SAVE_AS}") from reason
        words = _UNKNOWN if isinstance(reason, UnidentifiedImageError) else str(reason) or type(reason).__name__
        raise DataError(f"{path}: cannot be decoded as an image ({words})") from reason
    if raw in _FEW_BITS and "transparency" in image.info:
        image.info["transparency"] *= _FEW_BITS[raw]  # given in stored levels, while Pillow has stretched the image
    if ";16" in raw and image.mode in ("RGB", "RGBA"):
        _check_deep_colour(path, image)
    return image, page


def _refuse_frames(path: str | Path, image: Image.Image) -> None:
    """Refuse animations, and camera JPEGs whose further pictures are no thumbnails."""
    if not getattr(image, "is_animated", False):
        return
    entries = getattr(image, "mpinfo", {}).get(_MP_ENTRIES, [])
    if entries and all("Thumbnail" in entry["Attribute"]["MPType"] for entry in entries[1:]):
        return
    raise DataError(f"{path}: holds more than one frame ({image.format}); {ONE}")


def _check_deep_colour(path: str | Path, image: Image.Image) -> None:
    """Refuse 16-bit colour, which Pillow reads at 8 bits, if that loses a narrow range or a transparent colour."""
    if np.asarray(image)[..., :3].max() < 64 or "transparency" in image.info:
        raise DataError(
            f"{path}: colour of 16 bits is read at 8, and this one uses less than a quarter of its range, or has a "
            "transparent colour; save it as grey, or with 8 bits"
        )


def read_pixels(path: str | Path) -> npt.NDArray[np.generic]:
    """Read grey values as stored, (H, W): uint8, or for deeper files integers up to 32 bits or float32.

    Colour, palette and CMYK become luminance (ITU-R 601-2); transparency is composed over black; WhiteIsZero is
    inverted (`as_meant`). The display window of a DICOM file is not applied: see `read_grey`.

    Raises:
        DataError: As `open_image` and `read_dicom`.
    """
    return read_dicom(path)[0] if is_dicom(path) else _levels(path, *open_image(path))


def _levels(path: str | Path, image: Image.Image, page: TiffPage | None) -> npt.NDArray[np.generic]:
    """Convert an image that `open_image` decoded to the grey values of `read_pixels`."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        pixels = as_meant(_deep(image), page) if page else _deep(image)
        if isinstance(clear := image.info.get("transparency"), int):
            pixels = np.where(pixels == clear, 0, pixels).astype(pixels.dtype)
        if not np.isfinite(pixels).all():
            raise DataError(f"{path}: holds values that are not finite")
        return pixels
    if image.mode in ("1", "L", "P", "RGB") and "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa"):
        image = image.convert("LA") if image.mode == "La" else image
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
    if image.mode not in ("1", "L", "RGB"):
        image = image.convert("RGB")
    pixels = np.asarray(image if image.mode == "L" else image.convert("L"))
    return as_meant(pixels, page) if page else pixels


def _deep(image: Image.Image) -> npt.NDArray[np.generic]:
    """Convert a deep image to an array, band by band: Pillow's conversion of the whole takes longer than resizing."""
    pixels = np.empty((image.height, image.width), np.asarray(image.crop((0, 0, 1, 1))).dtype)
    for top in range(0, image.height, _BAND):
        rows = pixels[top : top + _BAND]
        rows[:] = np.asarray(image.crop((0, top, image.width, top + len(rows))))
    return pixels


def read_grey(path: str | Path) -> tuple[npt.NDArray[np.generic], Window]:
    """Read grey values as stored, and the window that maps them to black and white.

    Returns:
        Grey values, (H, W), as `read_pixels` returns them, and the window for `apply_window`: that of the header for
        DICOM, else `intensity_window`.

    Raises:
        DataError: As `read_pixels`.
    """
    return read_file(path)[:2]


def read_file(path: str | Path) -> tuple[npt.NDArray[np.generic], Window, Image.Image | None]:
    """Read as `read_grey`, and return Pillow's image too, which may be in colour; None for DICOM.

    Raises:
        DataError: As `read_pixels`.
    """
    if is_dicom(path):
        return *read_dicom(path), None
    image, page = open_image(path)
    pixels = _levels(path, image, page)
    return pixels, intensity_window(pixels), image


def read_radiograph(path: str | Path) -> npt.NDArray[np.float32]:
    """Read a radiograph at its original size and full depth.

    Returns:
        (1, H, W) float32 in [0, 1].

    Raises:
        DataError: The file cannot be read; names it and the reason.
    """
    return apply_window(*read_grey(path))[None]


def read_mask(path: str | Path) -> npt.NDArray[np.bool_]:
    """Read a mask, (H, W) bool: pixels above 0, or above half of the maximum if that is at least 128.

    Masks come as 0/1, as labels 0/1/2, as 0/255 and as JPEG with ringing; an empty mask stays empty.

    Raises:
        DataError: The file cannot be read, or holds negative values; names it and the reason.
    """
    pixels: npt.NDArray[Any] = read_pixels(path)
    brightest = pixels.max()
    if pixels.min() < 0:
        raise DataError(f"{path}: a mask with negative values; expected 0, and what is above 0")
    half = brightest // 2 if pixels.dtype.kind in "iu" else brightest / 2  # the same pixels of integers are above it
    above: npt.NDArray[np.bool_] = pixels > (half if brightest >= 128 else 0)
    return above
