"""Anomaly maps below their radiographs."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from pneumo_ad.figures.style import COLOURS, SMALL, STYLE, draw_outline, page_of_pictures, show

_COLUMNS = 4


def bright_end(maps: Sequence[npt.NDArray[np.floating]]) -> float:
    """Return the value that all but 0.5 % of the pixels of some maps stay below.

    Args:
        maps: Anomaly maps, (H, W) each, NaN where no window lies.
    """
    return float(np.nanquantile(np.stack(maps), 0.995))


def anomaly_maps(
    images: Sequence[npt.NDArray[np.uint8]],
    maps: Sequence[npt.NDArray[np.floating]],
    names: Sequence[str],
    unit: str,
    opacities: Sequence[npt.NDArray[np.uint8] | None] | None = None,
    top: float | None = None,
) -> Figure:
    """Draw radiographs above their anomaly maps on one common scale; uncovered pixels stay empty.

    Args:
        images: Radiographs, (H, W) uint8 grey levels each.
        maps: Anomaly maps, (H, W) each, NaN where no window lies.
        names: Names of the radiographs.
        unit: Label of the colour bar: name and unit of the maps' values.
        opacities: Truth masks to outline, (H, W) of 0 and 1 each, or None.
        top: Value at the bright end of the scale; None takes that of `bright_end`.
    """
    blocks = -(-len(images) // _COLUMNS)
    columns = -(-len(images) // blocks)
    masks = [None] * len(images) if opacities is None else opacities
    with mpl.rc_context(STYLE):
        figure, axes, _ = page_of_pictures(2 * blocks, columns, images[0].shape, 1.9, beside=0.85, above=0.4 * blocks)
        for axis in axes.flat:
            axis.set_axis_off()
        top = bright_end(maps) if top is None else top
        for number, (image, anomalies, name, mask) in enumerate(zip(images, maps, names, masks, strict=True)):
            block, column = divmod(number, columns)
            above, below = axes[2 * block : 2 * block + 2, column]
            show(above, image)
            above.set_title(name, size=SMALL)
            show(below, anomalies, top, "inferno")
            draw_outline(above, mask, COLOURS["opacity"])
            draw_outline(below, mask, "white")
        bar = figure.colorbar(axes[1, 0].images[0], ax=axes.ravel().tolist(), shrink=0.5, aspect=30)
        bar.set_label(unit, size=SMALL)
        bar.ax.tick_params(labelsize=SMALL)
    return figure
