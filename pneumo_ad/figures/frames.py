"""Red frames around the patches in a range of scores (the paper's Fig. 10)."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from pneumo_ad.figures.style import COLOURS, RED, SMALL, STYLE, draw_outline, fitting, page_of_pictures, show
from pneumo_ad.patches import PatchGrid

_SQUARE = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])


def red_frames(
    images: Sequence[npt.NDArray[np.uint8]],
    scores: npt.NDArray[np.floating],
    grid: PatchGrid,
    ranges: Sequence[tuple[float, float]],
    names: Sequence[str],
    unit: str = "SAD",
    opacities: Sequence[npt.NDArray[np.uint8] | None] | None = None,
    captions: Sequence[str] | None = None,
) -> Figure:
    """Draw Fig. 10: a red frame around every patch with a score in a range; a row per radiograph, a column per range.

    Args:
        images: Radiographs, (H, W) uint8 grey levels each.
        scores: (n, N) score of each window of each radiograph.
        grid: Grid of the windows.
        ranges: Lower (included) and upper (excluded) bound of each column's range.
        names: Names of the radiographs.
        unit: Name of the score, printed before the bounds of each range.
        opacities: Truth masks to outline in the first column, (H, W) of 0 and 1 each, or None.
        captions: Captions of the ranges, printed above their bounds, or None.
    """
    masks = [None] * len(images) if opacities is None else opacities
    height, width = grid.image_size
    with mpl.rc_context(STYLE):
        line = 0.8 * min(1.0, (1.6 * grid.stride / grid.patch) ** 0.5)  # thinner where frames are dense
        above = 0.2 * len(images) + 0.45  # one line of text below each picture, two above the first row
        figure, axes, side = page_of_pictures(len(images), len(ranges) + 1, (height, width), 1.75, 0.4, above)
        outlined = any(mask is not None and mask.any() for mask in masks)
        for row, (image, mask) in enumerate(zip(images, masks, strict=True)):
            show(axes[row, 0], image)
            axes[row, 0].set_ylabel(fitting(names[row], side * height / width), size=SMALL)
            draw_outline(axes[row, 0], mask, COLOURS["opacity"])
            for axis, (low, high) in zip(axes[row, 1:], ranges, strict=True):
                show(axis, image)
                inside = (scores[row] >= low) & (scores[row] < high)
                corners = grid.positions[inside][:, None, ::-1] - 0.5 + _SQUARE * grid.patch
                # One collection, as thousands of single frames take a minute to draw.
                axis.add_collection(PolyCollection(corners, facecolors="none", edgecolors=RED, linewidths=line))
                axis.set_xlabel(f"{int(inside.sum())} of {len(grid)} patches", size=SMALL, labelpad=2)
        axes[0, 0].set_title("radiograph" + ("\nopacity outlined" if outlined else ""), size=SMALL)
        bounds = [f"≥ {low:.3g}" if np.isinf(high) else f"{low:.3g} – {high:.3g}" for low, high in ranges]
        fits = all(fitting(f"{unit} {words}", side) == f"{unit} {words}" for words in bounds)
        for number, (axis, words) in enumerate(zip(axes[0, 1:], bounds, strict=True)):
            title = f"{unit} {words}" if fits else f"{unit}\n{words}"
            axis.set_title(f"{captions[number]}\n{title}" if captions else title, size=SMALL)
    return figure
