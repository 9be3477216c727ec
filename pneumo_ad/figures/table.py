"""Table as a figure, in the layout of the paper's Table 1."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.figure import Figure

from pneumo_ad.figures.style import PAGE_WIDTH, STYLE, page

_LINE = 0.24  # height of a line in inches


def printed_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], title: str, notes: str = "", rules: Sequence[int] = ()
) -> Figure:
    """Draw a table between rules; the first and the last column are left-aligned, the others right-aligned.

    Args:
        header: Column titles.
        rows: Rows, each with as many cells as the header.
        title: Title above the table.
        notes: Notes below the table.
        rules: Numbers of the rows that have a thin line above them.
    """
    widest = [max(len(line) for row in (header, *rows) for line in row[i].split("\n")) + 2 for i in range(len(header))]
    ends = [sum(widest[: i + 1]) / sum(widest) for i in range(len(widest))]
    below = 0.16 * (notes.count("\n") + 1) if notes else 0.0
    height = _LINE * (len(rows) + 1) + 0.4 + below
    with mpl.rc_context(STYLE):
        figure = page(PAGE_WIDTH, height + 0.1)
        axis = figure.subplots()
        axis.set(xlim=(0, 1), ylim=(height, 0))
        axis.set_axis_off()
        axis.text(0, 0.12, title, va="center", fontsize=9)
        for number, row in enumerate((header, *rows)):
            y = 0.4 + _LINE * (number + 0.5)
            for i, words in enumerate(row):
                left = i in (0, len(row) - 1)
                x = (ends[i] - widest[i] / sum(widest) + 0.5 / sum(widest)) if left else ends[i] - 1 / sum(widest)
                weight = "bold" if not number else "normal"
                axis.text(x, y, words, ha="left" if left else "right", va="center", fontsize=7.5, fontweight=weight)
        for number, width in ((0, 1.2), (1, 0.7), (len(rows) + 1, 1.2), *((rule + 1, 0.4) for rule in rules)):
            axis.plot([0, 1], [0.4 + _LINE * number] * 2, color="black", linewidth=width)
        axis.text(0, 0.46 + _LINE * (len(rows) + 1), notes, va="top", fontsize=7)
    return figure
