"""Printed output of `pneumo-ad compare`: a line per group, every run that was not measured, then notes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pneumo_ad.leaderboard.gather import described
from pneumo_ad.leaderboard.groups import DEFAULT_SORTS, Comparison, Replicates
from pneumo_ad.metrics.catalogue import metric_words
from pneumo_ad.metrics.shortcuts import strength

_MUCH = 0.9  # proportion of the lung covered by all runs, below which the run of least coverage is named
_ON_A_PAGE = ("patch/auroc_opacity_vs_healthy", "patch/auroc_outside_vs_healthy", "patch/sad_median_healthy")
_COLOURS = {"failed": "red", "interrupted": "yellow", "running": "cyan", "unfinished": "yellow"}


def leaderboard(found: Comparison, more: Sequence[str] = ()) -> tuple[list[str], list[list[str]]]:
    """Return head and lines of the leaderboard: the sorted groups, then what needs no net, as far as it was measured.

    The last lines are brightness alone, as it ranks, and the strongest shortcut, whichever way round it ranks.

    Args:
        found: Measured and ranked comparison.
        more: Further metrics to show, if any run has them.
    """
    key = found.sort or ""
    beside = [one for one in dict.fromkeys([*DEFAULT_SORTS, *more]) if one != key and one in found.rows]
    named = {one: found.vocabulary.fill(metric_words(one)) for one in (key, *beside)}
    sorting = [named[key], "difference to reference"] if key else []
    head = [*(found.axes or ["runs"]), *sorting, *(named[one] for one in beside), "seeds"]
    lines = []
    for group in found.groups:
        line = list(group.axes.values()) or ["all alike"]
        if key:
            line += [_value(group.of(key)), _difference(group, found)]
        lines.append([*line, *(_value(group.of(other)) for other in beside), str(len(group.runs))])
    blank = [""] * (max(len(found.axes), 1) - 1)
    if not np.isnan(found.baseline(key)):
        own = [_number(found.baseline(other)) for other in beside]
        lines.append(["brightness alone", *blank, _number(found.baseline(key)), "", *own, ""])
    if found.shortcut(key):
        lines.append(["best without a net", *blank, _best(found, key), "", *(_best(found, one) for one in beside), ""])
    return head, lines


def verdict(found: Comparison) -> str:
    """Say how many groups beat the strongest score that needs no net, and whether all lie below chance; else empty.

    Args:
        found: Measured and ranked comparison.
    """
    key = found.sort or ""
    values = [group.of(key)[0] for group in found.groups if not np.isnan(group.of(key)[0])]
    best = found.shortcut(key)
    if best is None or not values:
        return ""
    alone = strength(best.auroc)
    beside = found.vocabulary.fill(f"{best.words} alone ({alone:.3f})")
    if max(values) <= alone:
        worse = "; all lie below 0.5, worse than chance" if max(values) < 0.5 else ""
        return f"verdict: no run beats {beside}{worse}; why: docs/numbers.md"
    better = [group for group in found.groups if group.of(key)[0] > alone]
    clear = sum(group.interval is not None and group.interval[0] > alone for group in better)
    lines = f"{len(better)} of {len(values)} lines" if len(values) > 1 else "the run"
    beats = "beat" if len(better) > 1 else "beats"
    known = f", {clear} of them by the whole interval" if any(group.interval for group in better) else ""
    return f"verdict: {lines} {beats} {beside}{known}"


def as_markdown(found: Comparison) -> str:
    """Return the leaderboard as a Markdown table, with patch metrics, what it was measured on, and the verdict."""
    head, lines = leaderboard(found, _ON_A_PAGE)
    rows = [head, ["---"] * len(head), *lines]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    measured = f"Measured on {found.measured_on}." if found.measured_on else ""
    return "\n\n".join(filter(None, [table, measured, verdict(found)])) + "\n"


def _table(found: Comparison) -> Table:
    head, lines = leaderboard(found)
    words = found.vocabulary.fill(metric_words(found.sort)) if found.sort else "nothing"
    asked = f" (sort={found.sort})" if found.sort else ""
    title = escape(f"{found.sweep} ({found.subset}), sorted by {words}{asked}")
    table = Table(title=title, title_justify="left")
    for number, name in enumerate(head):
        table.add_column(escape(name), justify="left" if number < max(len(found.axes), 1) else "right")
    for number, line in enumerate(lines):
        reference = number < len(found.groups) and found.groups[number] is found.reference
        if number == len(found.groups):
            table.add_section()
        style = "bold" if reference else "dim" if number >= len(found.groups) else ""
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
        console.print(f"reference: {escape(_reference(found))}", soft_wrap=True)
    if found.measured_on:
        console.print(f"measured on {found.measured_on}", soft_wrap=True)
    if found.pixels and found.pixels.paired:
        console.print(
            f"on the same pixels: {len(found.pixels.images)} {found.vocabulary.images} with masks, "
            f"{found.pixels.covered:.1%} of their {found.vocabulary.region} is covered by every run; truth and "
            f"brightness as {escape(found.pixels.finest)} sees them",
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
    if words := verdict(found):
        console.print(escape(words), soft_wrap=True)
    console.print(f"tables and figures: {escape(str(found.folder))}", soft_wrap=True)


def _reference(found: Comparison) -> str:
    """Name the reference and why it is, with how to choose another."""
    assert found.reference is not None
    words = f"{described(found.reference.axes)}, {found.reference_is}"
    others = [group for group in found.groups if group is not found.reference]
    return f"{words} (reference={described(others[-1].axes)} takes another)" if others and found.axes else words


def _best(found: Comparison, key: str) -> str:
    best = found.shortcut(key)
    return found.vocabulary.fill(f"{strength(best.auroc):.3f} ({best.words})") if best else "–"


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
