"""Printed output of `pneumo-ad compare`: a line per group, every run that was not measured, then notes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pneumo_ad.leaderboard.gather import described
from pneumo_ad.leaderboard.groups import DEFAULT_SORTS, Comparison, Replicates

_MUCH = 0.9  # proportion of the lung covered by all runs, below which the run of least coverage is named
_ON_A_PAGE = ("patch/auroc_opacity_vs_healthy", "patch/auroc_outside_vs_healthy", "patch/sad_median_healthy")
_COLOURS = {"failed": "red", "interrupted": "yellow", "running": "cyan", "unfinished": "yellow"}


def leaderboard(found: Comparison, more: Sequence[str] = ()) -> tuple[list[str], list[list[str]]]:
    """Return head and lines of the leaderboard: the sorted groups, and brightness as the last line if measured.

    Args:
        found: Measured and ranked comparison.
        more: Further metrics to show, if any run has them.
    """
    key = found.sort or ""
    beside = [one for one in dict.fromkeys([*DEFAULT_SORTS, *more]) if one != key and one in found.rows]
    head = [*(found.axes or ["runs"]), *([key, "difference to reference"] if key else []), *beside, "seeds"]
    lines = []
    for group in found.groups:
        line = list(group.axes.values()) or ["all alike"]
        if key:
            line += [_value(group.of(key)), _difference(group, found)]
        lines.append([*line, *(_value(group.of(other)) for other in beside), str(len(group.runs))])
    if not np.isnan(found.baseline(key)):
        blank = [""] * (max(len(found.axes), 1) - 1)
        own = [_number(found.baseline(other)) for other in beside]
        lines.append(["brightness alone", *blank, _number(found.baseline(key)), "", *own, ""])
    return head, lines


def as_markdown(found: Comparison) -> str:
    """Return the leaderboard as a Markdown table, with patch metrics."""
    head, lines = leaderboard(found, _ON_A_PAGE)
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def _table(found: Comparison) -> Table:
    head, lines = leaderboard(found)
    title = f"{escape(str(found.sweep))} ({found.subset}): sorted by {found.sort or 'nothing'}"
    table = Table(title=title, title_justify="left")
    for number, name in enumerate(head):
        table.add_column(escape(name), justify="left" if number < max(len(found.axes), 1) else "right")
    for number, line in enumerate(lines):
        reference = number < len(found.groups) and found.groups[number] is found.reference
        if number == len(found.groups):
            table.add_section()
        style = "bold" if reference else "dim" if number == len(found.groups) else ""
        table.add_row(*map(escape, line), style=style)
    return table


def print_comparison(found: Comparison) -> None:
    """Print the leaderboard with its status lines and notes."""
    console = Console(highlight=False)
    if found.groups:
        console.print(_table(found))
    if found.sort and found.reference:
        words = "mean ± standard deviation over seeds; brackets: 95 % interval by {patient}, the same resamples for all"
        console.print(found.vocabulary.fill(words), soft_wrap=True)
        console.print(f"reference: {escape(described(found.reference.axes))} ({found.reference_is})", soft_wrap=True)
    if found.pixels and found.pixels.paired:
        console.print(
            f"same_pixels: {len(found.pixels.images)} {found.vocabulary.images} with masks, {found.pixels.covered:.1%} "
            f"of their {found.vocabulary.region} is covered by every run; truth and brightness as "
            f"{escape(found.pixels.finest)} sees them",
            soft_wrap=True,
        )
        least = min(found.pixels.covered_by.items(), key=lambda item: item[1])
        if found.pixels.covered < _MUCH:
            few = f"{escape(least[0])} covers the least, {least[1]:.1%}: a smaller stride, or cover=full, gives more"
            console.print(few, style="yellow", soft_wrap=True)
    for run in found.runs:
        if run.status.word != "finished":
            colour, reason = _COLOURS[run.status.word], f": {run.status.reason}" if run.status.reason else ""
            console.print(f"[{colour}]{run.status.word}[/{colour}] {escape(run.name + reason)}", soft_wrap=True)
    if not found.groups:
        console.print(f"no run of {len(found.runs)} was measured", style="yellow")
    for note in found.notes:
        console.print(escape(note), style="yellow", soft_wrap=True)
    console.print(f"tables and figures: {escape(str(found.folder))}", soft_wrap=True)


def _number(value: float) -> str:
    if np.isnan(value):
        return "–"
    return f"{value:.3f}" if abs(value) < 100 else f"{value:,.0f}"


def _value(summary: tuple[float, float]) -> str:
    mean, sd = summary
    return _number(mean) if np.isnan(sd) else f"{_number(mean)} ± {_number(sd)}"


def _difference(group: Replicates, found: Comparison) -> str:
    if group is found.reference:
        return "reference"
    if group.difference is None:
        return "–"
    value, low, high = group.difference
    interval = "" if np.isnan(low) else f" ({low:+.3f} to {high:+.3f})"
    return f"{value:+.3f}{interval}"
