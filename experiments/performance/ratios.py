"""Ratios of things measured side by side: what a shared machine does to one, it does to the other.

Absolute times of a shared machine say little. The actions take turns, repeat by repeat, and every ratio is of two
times of the same repeat; a row gives their median and range.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import torch


@dataclass(frozen=True)
class Setting:
    """How to measure.

    Attributes:
        repeats: Turns that count; one more warms up.
        quick: The same rows on next to nothing, to see that they run.
        device: Where nets run.
    """

    repeats: int = 5
    quick: bool = False
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        what: Numerator and denominator, in words.
        ratios: One per repeat; empty where it could not be measured.
        target: The bound that was set, None for a row without one.
        unit: `x` for multiples, `%` for shares.
        at_most: Whether the target bounds from above.
        note: Remark for the reader, or the reason why nothing was measured.
    """

    what: str
    ratios: tuple[float, ...] = ()
    target: float | None = None
    unit: str = "x"
    at_most: bool = False
    note: str = ""

    @property
    def median(self) -> float:
        """Of the ratios."""
        return statistics.median(self.ratios)

    def cells(self) -> list[str]:
        """What, target, median, range, met or missed, note."""
        target = f"{'≤' if self.at_most else '≥'} {self._number(self.target)}" if self.target is not None else ""
        if not self.ratios:
            return [self.what, target, "–", "", "not measured", self.note]
        met = ""
        if self.target is not None:
            met = "met" if (self.median <= self.target if self.at_most else self.median >= self.target) else "missed"
        low, high = self._number(min(self.ratios)), self._number(max(self.ratios))
        return [self.what, target, f"**{self._number(self.median)}**", f"{low} – {high}", met, self.note]

    def _number(self, value: float) -> str:
        if self.unit == "%":
            return f"{100 * value:.3g} %"
        return f"{value:.0f} ×" if value >= 20 else f"{value:.2g} ×" if value < 1 else f"{value:.1f} ×"


def alternate(repeats: int, device: torch.device, **actions: Callable[[], object]) -> dict[str, list[float]]:
    """Seconds of each action, taken in turn, after one warm-up each."""
    times: dict[str, list[float]] = {name: [] for name in actions}
    for repeat in range(repeats + 1):
        for name, action in actions.items():
            if device.type == "cuda":
                torch.cuda.synchronize()
            started = time.perf_counter()
            action()
            if device.type == "cuda":
                torch.cuda.synchronize()
            if repeat:
                times[name].append(time.perf_counter() - started)
    return times


def quotients(times: dict[str, list[float]], part: str, whole: str) -> tuple[float, ...]:
    """Quotients part / whole, repeat by repeat."""
    return tuple(a / b for a, b in zip(times[part], times[whole], strict=True))


def ratio(times: dict[str, list[float]], part: str, whole: str) -> str:
    """Median and range of part / whole, in words."""
    found = quotients(times, part, whole)
    return f"{statistics.median(found):6.1%}  (from {min(found):.1%} to {max(found):.1%})"


def table(rows: Iterable[Row]) -> str:
    """A table in markdown."""
    lines = ["| | target | median | range | | |", "|---|---|---|---|---|---|"]
    return "\n".join([*lines, *("| " + " | ".join(row.cells()) + " |" for row in rows)])
