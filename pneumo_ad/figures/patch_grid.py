"""Grid of patches (the paper's Figs. 3 and 4)."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from pneumo_ad.figures.style import PAGE_WIDTH, STYLE, page, show

COLUMNS, ROWS = 10, 5


def patch_grid(patches: npt.NDArray[np.uint8], title: str) -> Figure:
    """Draw Figs. 3 and 4: patches in rows of ten.

    Args:
        patches: (n, p, p) uint8 grey levels, at least one patch.
        title: Title above the patches.
    """
    rows = -(-len(patches) // COLUMNS)
    side = PAGE_WIDTH / COLUMNS
    with mpl.rc_context(STYLE):
        figure = page(PAGE_WIDTH, side * rows + 0.3)
        axes = figure.subplots(rows, COLUMNS, squeeze=False)
        for axis in axes.flat[len(patches) :]:
            axis.set_axis_off()
        for axis, patch in zip(axes.flat, patches, strict=False):
            show(axis, patch, sharp=True)
        figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)  # type: ignore[union-attr,call-arg]
        figure.suptitle(title)
    return figure
