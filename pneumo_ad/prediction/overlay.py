"""A radiograph with its anomaly map laid over it, to look at."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.colors import to_rgb
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from pneumo_ad.figures.style import FIELD
from pneumo_ad.files import whole

_FONT = Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
_LEAST_WIDTH = 512  # of the page: what stands beneath must fit
_MOST = 0.6  # opacity of the strongest colour: the radiograph stays visible
_BELOW = 0.35  # of the colours beyond the lung field, which the score does not count


def overlay(
    picture: npt.NDArray[np.uint8],
    anomaly: npt.NDArray[np.float32],
    lung_field: npt.NDArray[np.uint8],
    scale: tuple[float, float],
    unit: str,
    words: Sequence[str],
) -> Image.Image:
    """Colours where a map is above `scale`'s low end, in full from its high end on; the lung field outlined.

    The scale is the same for every file of a run. Beyond the lung field, where the score does
    not look, colours are faint. Colours grow brighter with the map, so that they read in a grey print.

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
    values = np.nan_to_num(anomaly, nan=scale[0])
    share = np.asarray(Image.fromarray(values).resize(size, Image.Resampling.BILINEAR))
    share = np.clip((share - scale[0]) / max(scale[1] - scale[0], 1e-9), 0, 1)
    field = np.asarray(Image.fromarray(lung_field * 255).resize(size, Image.Resampling.BILINEAR)) >= 128
    alpha = share * _MOST * np.where(field, 1, _BELOW)
    colours = _palette()[np.rint(share * 255).astype(np.uint8)]
    drawn = picture[..., None] + (colours - picture[..., None]) * alpha[..., None].astype(np.float32)
    line = max(1, round(max(size) / 500))
    edge = field & ~ndimage.binary_erosion(field, iterations=line)
    drawn[edge] = np.array(to_rgb(FIELD)) * 255
    return _with_strip(Image.fromarray(np.rint(drawn).astype(np.uint8)), scale, unit, words)


@cache
def _palette() -> npt.NDArray[np.float32]:
    """(256, 3) grey levels of each colour, dark red to light yellow."""
    shares = np.linspace(0.35, 1, 256)
    return (mpl.colormaps["inferno"](shares)[:, :3] * 255).astype(np.float32)


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
    bar = _palette()[np.linspace(0, 255, round(unit_px * 14)).astype(int)].astype(np.uint8)
    page.paste(Image.fromarray(np.broadcast_to(bar, (round(unit_px * 1.5), *bar.shape)).copy()), (start, top))
    draw.text((start + len(bar) + round(unit_px * 0.6), top), high, "black", font)
    for number, line in enumerate(words, start=1):
        size = round(unit_px * 1.35)
        while draw.textlength(line, smaller := ImageFont.truetype(str(_FONT), size)) > width - 2 * left and size > 6:
            size -= 1
        draw.text((left, top + round(unit_px * (0.2 + 2 * number))), line, "black", smaller)
    return page


def write_overlay(path: Path, drawn: Image.Image) -> None:
    """Write a PNG whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as aside:
        drawn.save(aside, "PNG", compress_level=3)  # radiographs are noise: more takes long and saves little
