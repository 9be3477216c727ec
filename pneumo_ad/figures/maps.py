"""Anomaly maps below their radiographs."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from pneumo_ad.figures.style import COLOURS, SMALL, STYLE, cell_width, draw_outline, page, show

_COLUMNS = 4


def anomaly_maps(
    images: Sequence[npt.NDArray[np.uint8]],
    maps: Sequence[npt.NDArray[np.floating]],
    names: Sequence[str],
    unit: str,
    opacities: Sequence[npt.NDArray[np.uint8] | None] | None = None,
) -> Figure:
    """Draw radiographs above their anomaly maps on one common scale; uncovered pixels stay empty.

    Args:
        images: Radiographs, (H, W) uint8 grey levels each.
        maps: Anomaly maps, (H, W) each, NaN where no window lies.
        names: Names of the radiographs.
        unit: Label of the colour bar: name and unit of the maps' values.
        opacities: Truth masks to outline, (H, W) of 0 and 1 each, or None.
    """
    columns = min(len(images), _COLUMNS)
    blocks = -(-len(images) // columns)
    with mpl.rc_context(STYLE):
        aspect = images[0].shape[0] / images[0].shape[1]
        side = cell_width(columns, 2 * blocks, aspect, 1.9, beside=0.85, above=0.4 * blocks)
        figure = page(side * columns + 0.85, (2 * side * aspect + 0.4) * blocks)
        axes = figure.subplots(2 * blocks, columns, squeeze=False)
        for axis in axes.flat:
            axis.set_axis_off()
        top = float(np.nanquantile(np.stack(maps), 0.995))
        for number, image in enumerate(images):
            row, column = 2 * (number // columns), number % columns
            mask = opacities[number] if opacities is not None else None
            show(axes[row, column], image)
            axes[row, column].set_title(names[number], size=SMALL)
            show(axes[row + 1, column], maps[number], top, "inferno")
            draw_outline(axes[row, column], mask, COLOURS["opacity"])
            draw_outline(axes[row + 1, column], mask, "white")
        bar = figure.colorbar(axes[1, 0].images[0], ax=axes.ravel().tolist(), shrink=0.5, aspect=30)
        bar.set_label(unit, size=SMALL)
        bar.ax.tick_params(labelsize=SMALL)
    return figure
