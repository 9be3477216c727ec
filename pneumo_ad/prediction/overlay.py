"""A radiograph with its anomaly map laid over it, to look at."""

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
_LEAST_WIDTH = 512  # of the page: what stands beneath must fit
_MOST = 0.6  # opacity of the strongest colour: the radiograph stays visible
_DARKEST = 0.4  # of a colour on black: it is as bright as the tissue that it lies on
_REACH = 0.01  # of the longer side: how far a finding at the rim of the lung field is followed beyond it
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
    """Draw colours where a map is above the low end of `scale`, in full from its high end on; outline the lung field.

    The scale is the same for every file of a run. Beyond the lung field, where the score does not look, colours fade
    out at once: background and mediastinum stay as they are.

    Args:
        picture: (h, w) grey levels.
        anomaly: Map of the same frame, any size, NaN where no window lies.
        lung_field: Lung field of the same frame and size as `anomaly`, of 0 and 1.
        scale: Values at which colours start and are full.
        unit: Unit of the map's values, for example grey levels.
        words: Lines of text to stand beneath.
        bounded: Whether no score lies above the scale.

    Returns:
        RGB picture, with a strip beneath that holds a bar of the colours and the words.
    """
    size = (picture.shape[1], picture.shape[0])
    share = np.clip((np.nan_to_num(anomaly, nan=scale[0]) - scale[0]) / max(scale[1] - scale[0], 1e-9), 0, 1)
    level = np.rint(share * 255).astype(np.uint8)
    colours, alpha = Image.fromarray(_palette()[level]), Image.fromarray(_alpha()[level])
    field = Image.fromarray(lung_field * 255)
    near = field.filter(ImageFilter.BoxBlur(_REACH * max(field.size)))
    # Resized and blended by Pillow, in eight bits: a thousand times a thousand floats would cost more than the net.
    colours, alpha, field, near = (one.resize(size, Image.Resampling.BILINEAR) for one in (colours, alpha, field, near))
    field = field.point(_IS_FIELD)
    alpha = ImageChops.multiply(alpha, ImageChops.lighter(field, near))
    drawn = _tinted(Image.fromarray(picture), colours, alpha)
    # What of the field has something else near it. (Pillow's own erosion takes ten times as long.)
    mixed = field.filter(ImageFilter.BoxBlur(max(1, round(max(size) / 500)))).point(_MIXED)
    drawn.paste(_LINE, mask=ImageChops.multiply(field, mixed))
    return _with_strip(drawn, f"{scale[0]:.3g}", f"{'' if bounded else '≥ '}{scale[1]:.3g} {unit}", words)


def _tinted(picture: Image.Image, colours: Image.Image, alpha: Image.Image) -> Image.Image:
    """Colours laid over grey levels, which show through them."""
    on_tissue = ImageChops.multiply(colours, picture.point(_TISSUE).convert("RGB"))
    return Image.composite(on_tissue, picture.convert("RGB"), alpha)


@cache
def _palette() -> npt.NDArray[np.uint8]:
    """(256, 3) levels of each colour, purple to yellow."""
    shares = np.linspace(0.3, 0.92, 256)
    return (mpl.colormaps["inferno"](shares)[:, :3] * 255).astype(np.uint8)


@cache
def _alpha() -> npt.NDArray[np.uint8]:
    """(256,) opacity of each colour: soon strong enough to be seen, so that hue tells the rest."""
    return np.rint(255 * _MOST * np.sqrt(np.linspace(0, 1, 256))).astype(np.uint8)


def _bar(width: int, height: int) -> Image.Image:
    """All colours in order, as they look on bright tissue."""
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
        path: Its folders are made.
        drawn: By `overlay`.
    """
    file = BytesIO()
    drawn.save(file, "PNG", compress_level=1)  # radiographs are noise: more takes long and saves little
    return write_picture(path, file)
