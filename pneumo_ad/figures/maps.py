"""Radiographs above their anomaly maps."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from pneumo_ad.figures.style import COLOURS, SMALL, STYLE, outline, page, show


def anomaly_maps(
    images: Sequence[npt.NDArray[np.uint8]],
    maps: Sequence[npt.NDArray[np.floating]],
    names: Sequence[str],
    unit: str,
    opacities: Sequence[npt.NDArray[np.uint8] | None] | None = None,
) -> Figure:
    """Radiographs above their anomaly maps on one common scale; uncovered pixels stay empty.

    Args:
        images: (H, W) uint8 each.
        maps: (H, W) each, NaN where no window lies.
        names: Of the radiographs.
        unit: Of the maps.
        opacities: (H, W) truth masks to outline, or None.
    """
    with mpl.rc_context(STYLE):
        height, width = images[0].shape
        figure = page(1.9 * len(images) + 0.9, 2 * 1.9 * height / width + 0.7)
        axes = figure.subplots(2, len(images), squeeze=False)
        top = float(np.nanquantile(np.stack(maps), 0.995))
        for column, image in enumerate(images):
            show(axes[0, column], image)
            axes[0, column].set_title(names[column], size=SMALL)
            show(axes[1, column], maps[column], top, "inferno")
            for row, colour in ((0, COLOURS["opacity"]), (1, "white")):
                outline(axes[row, column], opacities[column] if opacities is not None else None, colour)
        shown = axes[1, -1].images[0]
        figure.colorbar(shown, ax=axes[1, :].tolist(), shrink=0.9).set_label(unit, size=SMALL)
    return figure
