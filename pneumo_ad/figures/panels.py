"""Patches and their reconstructions (the paper's Figs. 7 and 8)."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from pneumo_ad.figures.style import PAGE_WIDTH, STYLE, page, show

BINS = 64  # bins of the histograms of grey levels


def grey_levels(picture: npt.NDArray[np.floating]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Compute the histogram of grey levels of a picture in [0, 1]: (64,) counts and (65,) edges, 0 to 256."""
    return np.histogram(np.clip(np.rint(picture * 255), 0, 255), bins=BINS, range=(0, 256))


def reconstruction_panel(
    x: npt.NDArray[np.floating], reconstruction: npt.NDArray[np.floating], sad: npt.NDArray[np.floating], title: str
) -> Figure:
    """Draw Figs. 7 and 8: a column per patch with input, reconstruction, the grey-value histogram of each, and SAD.

    Args:
        x: (n, p, p) inputs in [0, 1].
        reconstruction: (n, p, p) reconstructions in [0, 1].
        sad: (n,) SAD in grey levels per pixel.
        title: Title above the panel.
    """
    n = len(x)
    side = min(1.0, (PAGE_WIDTH - 1.05) / n)
    with mpl.rc_context(STYLE):
        figure = page(side * n + 1.05, 3.1 * side + 1.05)
        axes = figure.subplots(4, n, squeeze=False, gridspec_kw={"height_ratios": [1, 1, 0.55, 0.55]})
        for column in range(n):
            for row, picture in enumerate((x[column], reconstruction[column])):
                show(axes[row, column], picture, (0, 1), sharp=True)
                # stairs is one artist, hist 64: training waits while panels are drawn.
                counts, edges = grey_levels(picture)
                axes[row + 2, column].stairs(counts, edges, fill=True, color="0.35")
                axes[row + 2, column].set(xlim=(0, 255), yticks=[], xticks=[0, 255], xticklabels=[])
                axes[row + 2, column].spines["left"].set_visible(False)
            ends = axes[3, column].set_xticklabels(["0", "255"], fontsize=7)
            for label, side_of in zip(ends, ("left", "right"), strict=True):  # keeps them within their column
                label.set_horizontalalignment(side_of)
            axes[3, column].set_xlabel(f"SAD {sad[column]:.2f}", fontweight="bold")
        names = ("input", "reconstruction", "input,\ngrey levels", "reconstruction,\ngrey levels")
        for row, name in enumerate(names):
            axes[row, 0].set_ylabel(name, rotation=0, ha="right", va="center")
        figure.suptitle(title)
    return figure
