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
_BELOW = 0.35  # of the colours beyond the lung field, which the score does not count
_IS_FIELD = [255 * (grey >= 128) for grey in range(256)]
_MIXED = [255 * (grey < 255) for grey in range(256)]
_WEIGHT = [255 if grey else round(255 * _BELOW) for grey in range(256)]
_LINE = ImageColor.getrgb(FIELD)


def overlay(
    picture: npt.NDArray[np.uint8],
    anomaly: npt.NDArray[np.float32],
    lung_field: npt.NDArray[np.uint8],
    scale: tuple[float, float],
    unit: str,
    words: Sequence[str],
) -> Image.Image:
    """Colours where a map is above `scale`'s low end, in full from its high end on; the lung field outlined.

    The scale is the same for every file of a run. Beyond the lung field, where the score does not look, colours are
    faint. They grow brighter with the map, so that they read in a grey print.

    Args:
        picture: (h, w) grey levels.
        anomaly: Map of the same frame, any size, NaN where no window lies.
        lung_field: As `anomaly`, of 0 and 1.
        scale: Values at which colours start and are full.
        unit: Of the map.
        words: Lines to stand beneath.

    Returns:
        RGB, a strip with a bar of the colours and the words beneath.
    """
    size = (picture.shape[1], picture.shape[0])
    share = np.clip((np.nan_to_num(anomaly, nan=scale[0]) - scale[0]) / max(scale[1] - scale[0], 1e-9), 0, 1)
    colours = Image.fromarray(_palette()[np.rint(share * 255).astype(np.uint8)])
    alpha = Image.fromarray(np.rint(share * 255 * _MOST).astype(np.uint8))
    field = Image.fromarray(lung_field * 255)
    # Resized and blended by Pillow, in eight bits: a thousand times a thousand floats would cost more than the net.
    colours, alpha, field = (one.resize(size, Image.Resampling.BILINEAR) for one in (colours, alpha, field))
    field = field.point(_IS_FIELD)
    alpha = ImageChops.multiply(alpha, field.point(_WEIGHT))
    drawn = Image.composite(colours, Image.fromarray(picture).convert("RGB"), alpha)
    # What of the field has something else near it. (Pillow's own erosion takes ten times as long.)
    near = field.filter(ImageFilter.BoxBlur(max(1, round(max(size) / 500)))).point(_MIXED)
    drawn.paste(_LINE, mask=ImageChops.multiply(field, near))
    return _with_strip(drawn, scale, unit, words)


@cache
def _palette() -> npt.NDArray[np.uint8]:
    """(256, 3) levels of each colour, purple to light yellow."""
    shares = np.linspace(0.35, 1, 256)
    return (mpl.colormaps["inferno"](shares)[:, :3] * 255).astype(np.uint8)


def _with_strip(picture: Image.Image, scale: tuple[float, float], unit: str, words: Sequence[str]) -> Image.Image:
    width = max(picture.width, _LEAST_WIDTH)
    unit_px = max(width / 64, 9)  # all sizes follow the width
    font = ImageFont.truetype(str(_FONT), round(unit_px * 1.35))
    page = Image.new("RGB", (width, picture.height + round(unit_px * (3.2 + 2 * len(words)))), "white")
    page.paste(picture, ((width - picture.width) // 2, 0))
    draw = ImageDraw.Draw(page)
    left, top = round(unit_px), picture.height + round(unit_px * 0.8)
    low, high = f"{scale[0]:.3g}", f"≥ {scale[1]:.3g} {unit}"
    draw.text((left, top), low, "black", font)
    start = round(left + draw.textlength(low, font) + unit_px * 0.6)
    bar = _palette()[np.linspace(0, 255, round(unit_px * 14)).astype(int)]
    page.paste(Image.fromarray(np.broadcast_to(bar, (round(unit_px * 1.5), *bar.shape)).copy()), (start, top))
    draw.text((start + len(bar) + round(unit_px * 0.6), top), high, "black", font)
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
