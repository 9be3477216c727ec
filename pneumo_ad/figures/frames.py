"""Red frames around the patches in a range of scores (the paper's Fig. 10)."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from pneumo_ad.figures.outline import outline_segments
from pneumo_ad.figures.proportions import Proportions
from pneumo_ad.figures.style import COLOURS, RED, SMALL, STYLE, draw_outline, fitting, page_of_pictures, show
from pneumo_ad.labels import RADIOGRAPH, Vocabulary
from pneumo_ad.patches import PatchGrid

_TINT = 0.12  # opacity of the red inside a frame, which tells it from a hole


def red_frames(
    images: Sequence[npt.NDArray[np.uint8]],
    scores: npt.NDArray[np.floating],
    grid: PatchGrid,
    ranges: Sequence[tuple[float, float]],
    names: Sequence[str],
    unit: str = "SAD",
    opacities: Sequence[npt.NDArray[np.uint8] | None] | None = None,
    captions: Sequence[str] | None = None,
    proportions: Sequence[Proportions] | None = None,
    terms: Vocabulary = RADIOGRAPH,
) -> Figure:
    """Draw Fig. 10: red frames around the patches with a score in a range; a row per radiograph, a column per range.

    Patches that touch or overlap share one frame, the outline of all of them together.

    Args:
        images: Radiographs, (H, W) uint8 grey levels each.
        scores: (n, N) score of each window of each radiograph.
        grid: Grid of the windows.
        ranges: Lower (included) and upper (excluded) bound of each column's range.
        names: Names of the radiographs.
        unit: Name of the score, printed before the bounds of each range.
        opacities: Truth masks to outline in the first column, (H, W) of 0 and 1 each, or None.
        captions: Captions of the ranges, printed above their bounds, or None.
        proportions: Proportions of each radiograph; None for square pixels.
        terms: Words for what the images show.
    """
    masks = [None] * len(images) if opacities is None else opacities
    shapes = proportions or Proportions.as_seen(images)
    with mpl.rc_context(STYLE):
        squeezed = any(shape.squeezed for shape in shapes)
        above = 0.2 * len(images) + 0.45 + 0.2 * squeezed  # a line of text below each picture, two above the first row
        figure, axes, side = page_of_pictures([[shape] for shape in shapes], len(ranges) + 1, 1.75, 0.4, above)
        outlined = any(mask is not None and mask.any() for mask in masks)
        for row, (image, mask, shape) in enumerate(zip(images, masks, shapes, strict=True)):
            show(axes[row, 0], image, shape=shape)
            axes[row, 0].set_ylabel(fitting(names[row], side * shape.ratio), size=SMALL)
            draw_outline(axes[row, 0], mask, COLOURS["opacity"])
            for axis, (low, high) in zip(axes[row, 1:], ranges, strict=True):
                show(axis, image, shape=shape)
                inside = (scores[row] >= low) & (scores[row] < high)
                _frame(axis, grid.union(inside))
                axis.set_xlabel(f"{int(inside.sum())} of {len(grid)} patches", size=SMALL, labelpad=2)
        axes[0, 0].set_title(terms.image + (f"\n{terms.anomaly} outlined" if outlined else ""), size=SMALL)
        bounds = [f"≥ {low:.3g}" if np.isinf(high) else f"{low:.3g} – {high:.3g}" for low, high in ranges]
        fits = all(fitting(f"{unit} {words}", side) == f"{unit} {words}" for words in bounds)
        for number, (axis, words) in enumerate(zip(axes[0, 1:], bounds, strict=True)):
            title = f"{unit} {words}" if fits else f"{unit}\n{words}"
            axis.set_title(f"{captions[number]}\n{title}" if captions else title, size=SMALL)
        if squeezed:
            height, width = grid.image_size
            words = f"In the proportions of the files; patches are squares in the {height} × {width} that the net saw."
            figure.supxlabel(words, size=SMALL)
    return figure


def _frame(axis: Axes, covered: npt.NDArray[np.bool_]) -> None:
    """Outline (H, W) pixels in red, and tint what lies inside."""
    tint = np.zeros((*covered.shape, 4))
    tint[covered] = to_rgba(RED, _TINT)
    axis.imshow(tint, interpolation="nearest", aspect=axis.get_aspect())
    lines = LineCollection(list(outline_segments(covered)), colors=RED, linewidths=0.9, capstyle="projecting")
    lines.set_clip_on(False)  # half of a line on the border would be cut off
    axis.add_collection(lines, autolim=False)
