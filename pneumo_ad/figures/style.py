"""Style shared by all figures: printed sizes, readable type, colours and file format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pneumo_ad.figures.proportions import Proportions
from pneumo_ad.files import atomic_write

PAGE_WIDTH, PAGE_HEIGHT = 7.0, 9.4  # inches of a page within its margins; figures are printed at their size
SMALL = 7  # smallest font size in points
RED = "#d62728"
FIELD = "#56b4e9"
# Colours of kinds and origins of patches, distinct in greyscale and to colour-blind readers.
COLOURS = {
    "normal_lung": "#1b9e77",
    "normal": "#7570b3",
    "pneumonia": "#d95f02",
    "healthy": "#1b9e77",
    "opacity": "#d95f02",
    "outside": "#666666",
}
# Their names, templates of `labels.Vocabulary.fill`.
NAMES = {
    "normal_lung": "normal {region}",
    "normal": "normal {image}, every window",
    "pneumonia": "{abnormal} {image}, every window",
    "healthy": "{healthy}",
    "opacity": "{anomaly}",
    "outside": "outside the {region}",
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
    """Create an empty figure, for use within `mpl.rc_context(STYLE)`.

    Args:
        width: Width in inches.
        height: Height in inches.
    """
    return Figure(figsize=(width, height), layout="constrained")


def page_of_pictures(
    rows: Sequence[Sequence[Proportions]], columns: int, largest: float, beside: float, above: float
) -> tuple[Figure, npt.NDArray[Any], float]:
    """Create a figure with rows of pictures, each as high as its tallest, that fits a page; see `page`.

    Args:
        rows: Proportions of the pictures in each row, at least one.
        columns: Pictures side by side.
        largest: Upper bound of a picture's width in inches.
        beside: Width of other elements in inches.
        above: Height of other elements in inches.

    Returns:
        The figure, its (rows, columns) axes, and the width of a picture in inches.
    """
    heights = [max(shape.ratio for shape in row) for row in rows]
    width = min(largest, (PAGE_WIDTH - beside) / columns, (PAGE_HEIGHT - above) / sum(heights))
    figure = page(width * columns + beside, width * sum(heights) + above)
    axes = figure.subplots(len(rows), columns, squeeze=False, gridspec_kw={"height_ratios": heights})
    for axis in axes.flat:
        axis.set_anchor("N")  # pictures of a row begin at one height
    return figure, axes, width


def show(
    axis: Axes,
    image: npt.NDArray[Any],
    limits: tuple[float, float] = (0, 255),
    cmap: str = "gray",
    sharp: bool = False,
    shape: Proportions | None = None,
) -> None:
    """Show a picture without ticks and frame.

    Args:
        axis: Axes to draw in.
        image: (H, W) values, or (H, W, 3) in [0, 1].
        limits: Values at both ends of the colour map.
        cmap: Name of the colour map.
        sharp: Whether pixels are drawn as squares, without interpolation.
        shape: Proportions of the radiograph; None for square pixels.
    """
    axis.imshow(image, cmap=cmap, vmin=limits[0], vmax=limits[1], interpolation="nearest" if sharp else None)
    if shape is not None:
        shape.apply(axis)
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_visible(False)


def draw_outline(axis: Axes, mask: npt.NDArray[np.integer] | None, colour: str, style: str = "-") -> None:
    """Draw the outline of a mask, unless it is empty or None.

    Args:
        axis: Axes that show the radiograph.
        mask: (H, W) mask of 0 and 1, or None.
        colour: Colour of the line.
        style: Style of the line, as matplotlib writes it.
    """
    if mask is not None and mask.any():
        axis.contour(mask, levels=[0.5], colors=[colour], linewidths=0.9, linestyles=style)


def fitting(name: str, width: float) -> str:
    """Shorten each line of a name in its middle to fit a width in small type.

    Args:
        name: Name to show, of one or more lines.
        width: Width in inches.

    >>> fitting("NORMAL2-IM-0389-0001", 1.0)
    'NORMAL2…389-0001'
    """
    most = max(int(width * 72 / (SMALL * 0.62)), 7)
    begin, end = (most - 1) // 2, most // 2
    return "\n".join(line if len(line) <= most else f"{line[:begin]}…{line[-end:]}" for line in name.split("\n"))


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG of 300 dots per inch on opaque white, readable on dark pages too.

    Args:
        figure: Figure drawn within `STYLE`.
        path: PNG file to write.
    """
    with atomic_write(path) as aside, mpl.rc_context(STYLE):
        figure.savefig(aside, dpi=300, format="png", facecolor="white", transparent=False)
