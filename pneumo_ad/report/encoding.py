"""Text encoding of arrays for a page: pictures, outlines of masks, positions and scores of windows."""

from __future__ import annotations

import base64
import io
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from PIL import Image
from skimage.measure import approximate_polygon, find_contours

COLOUR_MAP = "inferno"
_LARGEST = 512  # pixels of the longer side of a picture; 50 radiographs then stay below 15 MB
_QUALITY = 88  # of WebP: visually lossless
_TOLERANCE = 0.4  # pixels: largest distance of an outline from the mask's edge


def base64_of(values: npt.NDArray[Any], dtype: str) -> str:
    """Encode numbers as little-endian bytes in base64, for a typed array.

    Args:
        values: Numbers, any shape.
        dtype: NumPy dtype code of the bytes, for example `<u2`.

    >>> base64_of(np.array([1, 2]), "<u2")
    'AQACAA=='
    """
    return base64.b64encode(np.ascontiguousarray(values, dtype=dtype).tobytes()).decode("ascii")


def grey_picture(pixels: npt.NDArray[np.uint8]) -> str:
    """Encode (H, W) uint8 grey levels as a data URI."""
    return _uri(Image.fromarray(pixels))


def coloured_map(values: npt.NDArray[np.floating], low: float, high: float) -> str:
    """Encode a map in colours as a data URI.

    Args:
        values: (H, W) map; NaN becomes transparent.
        low: Value of the first colour.
        high: Value of the last colour.
    """
    share = np.clip((values - low) / (high - low), 0, 1)
    colours = mpl.colormaps[COLOUR_MAP](np.nan_to_num(share), bytes=True)
    colours[..., 3] = np.where(np.isnan(values), 0, 255)
    return _uri(Image.fromarray(colours if np.isnan(values).any() else colours[..., :3].copy()))


def colour_stops(number: int = 9) -> list[str]:
    """Return colours of the map's scale, lowest first, as `#rrggbb`."""
    return [mpl.colors.to_hex(colour) for colour in mpl.colormaps[COLOUR_MAP](np.linspace(0, 1, number))]


def _uri(picture: Image.Image) -> str:
    shrink = _LARGEST / max(picture.size)
    if shrink < 1:
        width, height = (max(1, round(side * shrink)) for side in picture.size)
        picture = picture.resize((width, height), Image.Resampling.BOX)
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=_QUALITY, method=4)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def outline_path(mask: npt.NDArray[np.bool_]) -> str:
    """Trace the edge of an (H, W) mask as an SVG path in pixels; "" where the mask is empty.

    >>> outline_path(np.ones((2, 3), dtype=bool))
    'M2.5 2L0.5 2L0 0.5L2.5 0L3 0.5Z'
    """
    framed = np.pad(mask, 1).astype(np.float32)
    parts = []
    for contour in find_contours(framed, 0.5):
        corners = approximate_polygon(contour, _TOLERANCE) - 0.5  # from centres of padded pixels to corners of pixels
        parts.append("M" + "L".join(f"{x:.4g} {y:.4g}" for y, x in corners[:-1]) + "Z")
    return "".join(parts)
