"""What all figures share: sizes as they are printed, type that stays readable there, colours, how they are saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pneumo_ad.files import atomic_write

PAGE_WIDTH, PAGE_HEIGHT = 7.0, 9.4  # inches of a page within its margins; figures are printed as large as they are
SMALL = 7  # points of the smallest type
RED = "#d62728"
FIELD = "#56b4e9"
# Of kinds of patch and origins; told apart in grey and by the colour-blind.
COLOURS = {
    "normal_lung": "#1b9e77",
    "normal": "#7570b3",
    "pneumonia": "#d95f02",
    "healthy": "#1b9e77",
    "opacity": "#d95f02",
    "outside": "#666666",
}
NAMES = {
    "normal_lung": "normal lung",
    "normal": "normal radiograph, every window",
    "pneumonia": "pneumonia radiograph, every window",
    "healthy": "healthy lung",
    "opacity": "opacity",
    "outside": "outside the lung",
}
STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.titlesize": 8,
    "figure.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "white",
    "legend.frameon": False,
    "text.parse_math": False,  # a name with two $ in it is a name
}


def page(width: float, height: float) -> Figure:
    """An empty figure of so many inches; to be used within `mpl.rc_context(STYLE)`.

    Args:
        width: In inches.
        height: In inches.
    """
    return Figure(figsize=(width, height), layout="constrained")


def cell_width(
    columns: int, rows: int, aspect: float, largest: float, beside: float = 0.0, above: float = 0.0
) -> float:
    """Width in inches of a picture of which `rows` by `columns` are to fit a page.

    Args:
        columns: Pictures side by side.
        rows: Pictures on top of each other.
        aspect: Height over width of a picture.
        largest: Width that is not exceeded.
        beside: Width taken by other things.
        above: Height taken by other things.
    """
    return min(largest, (PAGE_WIDTH - beside) / columns, (PAGE_HEIGHT - above) / (rows * aspect))


def show(axis: Axes, image: npt.NDArray[Any], top: float = 255, cmap: str = "gray", sharp: bool = False) -> None:
    """A picture without ticks and frame.

    Args:
        axis: Axes to draw in.
        image: (H, W) from 0 to `top`, or (H, W, 3) in [0, 1].
        top: Value at the bright end of the colour map.
        cmap: Name of the colour map.
        sharp: Whether every pixel is drawn as a square.
    """
    axis.imshow(image, cmap=cmap, vmin=0, vmax=top, interpolation="nearest" if sharp else None)
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_visible(False)


def draw_outline(axis: Axes, mask: npt.NDArray[np.integer] | None, colour: str) -> None:
    """The edge of a mask of 0 and 1, if there is any.

    Args:
        axis: The axes that show the radiograph.
        mask: (H, W) of 0 and 1, or None.
        colour: Colour of the line.
    """
    if mask is not None and mask.any():
        axis.contour(mask, levels=[0.5], colors=[colour], linewidths=0.9)


def fitting(name: str, width: float) -> str:
    """A name cut in its middle to what fits so many inches in small type.

    Args:
        name: Name to be shown.
        width: Width in inches.

    >>> fitting("NORMAL2-IM-0389-0001", 1.0)
    'NORMAL2…389-0001'
    """
    most = max(int(width * 72 / (SMALL * 0.62)), 7)
    kept = most - 1
    return name if len(name) <= most else f"{name[: kept // 2]}…{name[-(kept - kept // 2) :]}"


def save(figure: Figure, path: Path) -> None:
    """Write a PNG of 300 dots per inch on opaque white, which reads on a dark page too.

    Args:
        figure: Drawn within `STYLE`.
        path: PNG file to write.
    """
    with atomic_write(path) as aside, mpl.rc_context(STYLE):
        figure.savefig(aside, dpi=300, format="png", facecolor="white", transparent=False)
