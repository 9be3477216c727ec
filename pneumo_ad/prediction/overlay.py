"""Overlay of an anomaly map on its radiograph."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from io import BytesIO
from pathlib import Path

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageColor, ImageDraw, ImageFilter, ImageFont

from pneumo_ad.figures.style import FIELD
from pneumo_ad.prediction.written import write_picture

_FONT = Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
_LEAST_WIDTH = 512  # pixels of the page, so that the strip beneath fits
_MOST = 0.6  # opacity of the strongest colour, so that the radiograph stays visible
_DARKEST = 0.4  # brightness of a colour on black, as a share; it rises with that of the tissue
_REACH = 0.01  # share of the longer side: distance over which colours fade out beyond the lung field
_BRIGHT = 180  # grey level behind the bar of colours
_IS_FIELD = [255 * (grey >= 128) for grey in range(256)]
_TISSUE = [round(255 * _DARKEST + (1 - _DARKEST) * grey) for grey in range(256)]
_MIXED = [255 * (grey < 255) for grey in range(256)]
_LINE = ImageColor.getrgb(FIELD)


def overlay(
    picture: npt.NDArray[np.uint8],
    anomaly: npt.NDArray[np.float32],
    lung_field: npt.NDArray[np.uint8],
    scale: tuple[float, float],
    unit: str,
    words: Sequence[str],
    bounded: bool = False,
) -> Image.Image:
    """Draw an anomaly map in colours over its radiograph, with the outline of the lung field.

    Colours start at the low end of `scale` and are full from its high end on. The scale is the same for every file of a
    run. Outside the lung field, where the score does not apply, colours fade out over a short distance: background and
    mediastinum stay unchanged.

    Args:
        picture: (h, w) uint8 grey levels.
        anomaly: (H, W) float32 map of the same frame, any size, NaN where no window lies.
        lung_field: (H, W) uint8 lung field of 0 and 1, the size of `anomaly`.
        scale: Values at the start and at full strength of the colours.
        unit: Unit of the map's values, for example grey levels.
        words: Lines of text beneath the picture.
        bounded: Whether no score can lie above the scale.

    Returns:
        RGB picture, with a colour bar and the words in a strip beneath.
    """
    size = (picture.shape[1], picture.shape[0])
    share = np.clip((np.nan_to_num(anomaly, nan=scale[0]) - scale[0]) / max(scale[1] - scale[0], 1e-9), 0, 1)
    level = np.rint(share * 255).astype(np.uint8)
    colours, alpha = Image.fromarray(_palette()[level]), Image.fromarray(_alpha()[level])
    field = Image.fromarray(lung_field * 255)
    near = field.filter(ImageFilter.BoxBlur(_REACH * max(field.size)))
    # Resized and blended by Pillow in eight bits: 1000 x 1000 floats would cost more time than the net.
    colours, alpha, field, near = (one.resize(size, Image.Resampling.BILINEAR) for one in (colours, alpha, field, near))
    field = field.point(_IS_FIELD)
    alpha = ImageChops.multiply(alpha, ImageChops.lighter(field, near))
    drawn = _tinted(Image.fromarray(picture), colours, alpha)
    # Pixels of the field near its edge. (Pillow's own erosion takes ten times as long.)
    mixed = field.filter(ImageFilter.BoxBlur(max(1, round(max(size) / 500)))).point(_MIXED)
    drawn.paste(_LINE, mask=ImageChops.multiply(field, mixed))
    return _with_strip(drawn, f"{scale[0]:.3g}", f"{'' if bounded else '≥ '}{scale[1]:.3g} {unit}", words)


def _tinted(picture: Image.Image, colours: Image.Image, alpha: Image.Image) -> Image.Image:
    """Blend colours over grey levels."""
    on_tissue = ImageChops.multiply(colours, picture.point(_TISSUE).convert("RGB"))
    return Image.composite(on_tissue, picture.convert("RGB"), alpha)


@cache
def _palette() -> npt.NDArray[np.uint8]:
    """Return the (256, 3) uint8 colours, purple to yellow."""
    shares = np.linspace(0.3, 0.92, 256)
    return (mpl.colormaps["inferno"](shares)[:, :3] * 255).astype(np.uint8)


@cache
def _alpha() -> npt.NDArray[np.uint8]:
    """Return the (256,) uint8 opacity of each colour; it rises steeply, so that hue shows the value."""
    return np.rint(255 * _MOST * np.sqrt(np.linspace(0, 1, 256))).astype(np.uint8)


def _bar(width: int, height: int) -> Image.Image:
    """Draw the colour bar, as on bright tissue."""
    level = np.tile(np.linspace(0, 255, width).astype(np.uint8), (height, 1))
    tissue = Image.new("L", (width, height), _BRIGHT)
    return _tinted(tissue, Image.fromarray(_palette()[level]), Image.fromarray(_alpha()[level]))


def _with_strip(picture: Image.Image, low: str, high: str, words: Sequence[str]) -> Image.Image:
    width = max(picture.width, _LEAST_WIDTH)
    unit_px = max(width / 64, 9)  # all sizes follow the width
    font = ImageFont.truetype(str(_FONT), round(unit_px * 1.35))
    page = Image.new("RGB", (width, picture.height + round(unit_px * (3.2 + 2 * len(words)))), "white")
    page.paste(picture, ((width - picture.width) // 2, 0))
    draw = ImageDraw.Draw(page)
    left, top = round(unit_px), picture.height + round(unit_px * 0.8)
    draw.text((left, top), low, "black", font)
    start = round(left + draw.textlength(low, font) + unit_px * 0.6)
    bar = _bar(round(unit_px * 14), round(unit_px * 1.5))
    page.paste(bar, (start, top))
    draw.text((start + bar.width + round(unit_px * 0.6), top), high, "black", font)
    for number, line in enumerate(words, start=1):
        size = round(unit_px * 1.35)
        while draw.textlength(line, smaller := ImageFont.truetype(str(_FONT), size)) > width - 2 * left and size > 6:
            size -= 1
        draw.text((left, top + round(unit_px * (0.2 + 2 * number))), line, "black", smaller)
    return page


def write_overlay(path: Path, drawn: Image.Image) -> str:
    """Write a PNG, and return its digest (`write_picture`).

    Args:
        path: File to write; missing folders are created.
        drawn: Picture, from `overlay`.
    """
    file = BytesIO()
    drawn.save(file, "PNG", compress_level=1)  # radiographs are noisy: a higher level takes long and saves little
    return write_picture(path, file)
