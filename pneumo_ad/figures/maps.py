"""Anomaly maps below their radiographs."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from pneumo_ad.figures.proportions import Proportions
from pneumo_ad.figures.style import COLOURS, SMALL, STYLE, draw_outline, fitting, page_of_pictures, show

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
    proportions: Sequence[Proportions] | None = None,
    top: float | None = None,
) -> Figure:
    """Draw radiographs above their anomaly maps on one common scale; uncovered pixels stay empty.

    Args:
        images: Radiographs, (H, W) uint8 grey levels each.
        maps: Anomaly maps, (H, W) each, NaN where no window lies.
        names: Names of the radiographs.
        unit: Label of the colour bar: name and unit of the maps' values.
        opacities: Truth masks to outline, (H, W) of 0 and 1 each, or None.
        proportions: Proportions of each radiograph; None for square pixels.
        top: Value at the bright end of the scale; None takes that of `bright_end`.
    """
    blocks = -(-len(images) // _COLUMNS)
    columns = -(-len(images) // blocks)
    masks = [None] * len(images) if opacities is None else opacities
    shapes = proportions or Proportions.as_seen(images)
    with mpl.rc_context(STYLE):
        rows = [shapes[columns * (row // 2) :][:columns] for row in range(2 * blocks)]
        figure, axes, side = page_of_pictures(rows, columns, 1.9, beside=0.85, above=0.4 * blocks)
        for axis in axes.flat:
            axis.set_axis_off()
        everything = np.concatenate([one[np.isfinite(one)] for one in maps])
        least = float(np.quantile(everything, 0.005)) if everything.size else 0.0
        limits = (min(least, 0.0), bright_end(maps) if top is None else top)  # from 0, where no score lies below
        for number, (image, anomalies, name, mask) in enumerate(zip(images, maps, names, masks, strict=True)):
            block, column = divmod(number, columns)
            above, below = axes[2 * block : 2 * block + 2, column]
            show(above, image, shape=shapes[number])
            above.set_title(fitting(name, side), size=SMALL)
            show(below, anomalies, limits, "inferno", shape=shapes[number])
            draw_outline(above, mask, COLOURS["opacity"])
            draw_outline(below, mask, "white")
        beside = axes.ravel().tolist()
        bar = figure.colorbar(axes[1, 0].images[0], ax=beside, shrink=0.5, aspect=30, extend="max", panchor=False)
        bar.set_label(unit, size=SMALL)
        bar.ax.tick_params(labelsize=SMALL)
    return figure
