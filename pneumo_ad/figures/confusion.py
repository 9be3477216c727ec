"""Confusion matrix with counts and shares of each row."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from pneumo_ad.figures.style import SMALL, STYLE, page

_CELL = 1.0, 0.62  # width and height in inches


def confusion_matrix(
    counts: npt.NDArray[np.integer], true: Sequence[str], predicted: Sequence[str], title: str
) -> Figure:
    """Draw a confusion matrix: in each cell the count, and its share of the row by number and shade.

    Args:
        counts: (T, P) numbers of patches, true kinds by predicted kinds.
        true: Names of the T true kinds.
        predicted: Names of the P predicted kinds.
        title: Title above the figure.
    """
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(totals, 1)
    with mpl.rc_context(STYLE):
        figure = page(2.2 + _CELL[0] * len(predicted), 1.0 + _CELL[1] * len(true))
        axis = figure.subplots()
        axis.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for (row, column), count in np.ndenumerate(counts):
            share = f"{shares[row, column]:.1%}" if totals[row, 0] else "–"
            colour = "white" if shares[row, column] > 0.5 else "black"
            axis.text(column, row, f"{share}\n{count:,}", ha="center", va="center", color=colour)
        axis.set_xticks(range(len(predicted)), predicted)
        axis.set_yticks(
            range(len(true)), [f"{name}\n{total:,} patches" for name, total in zip(true, totals[:, 0], strict=True)]
        )
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
        axis.set_xlabel("predicted kind", size=SMALL)
        axis.set_ylabel("true kind", size=SMALL)
        axis.set_title(title)
    return figure
