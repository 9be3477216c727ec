"""Progress of long loops: a bar on a terminal, elsewhere a log line a minute, and nothing with `--quiet`."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import Any

from pneumo_ad.errors import is_quiet

log = logging.getLogger(__name__)

_EVERY = 60.0  # seconds between lines


def has_bars() -> bool:
    """Whether progress bars are drawn: only on a terminal, as a file would hold every state of a bar."""
    return sys.stderr.isatty() and not is_quiet()


def progress_bar(rows: Iterable[Any] | None = None, *, shown: bool = True, **options: Any) -> Any:
    """Return a progress bar of tqdm in notebooks and on terminals, elsewhere an object that logs a line a minute.

    Args:
        rows: Items of the loop; None for a bar that is updated by hand.
        shown: Whether to show progress at all.
        options: Further options of tqdm, such as `total`, `desc` and `unit`.
    """
    from tqdm.auto import tqdm

    seen = shown and not is_quiet()
    bar = tqdm(rows, disable=None if seen else True, leave=False, **options)
    return ProgressLines(rows, **options) if seen and bar.disable else bar


class ProgressLines:
    """Progress of a loop in log lines, one a minute; a loop that ends sooner logs none.

    Args:
        rows: Items of the loop; None where it is updated by hand.
        total: Number of items; None: that of `rows`, if known.
        desc: Name of the loop.
        unit: Name of an item.
    """

    def __init__(
        self, rows: Iterable[Any] | None = None, total: int | None = None, desc: str = "", unit: str = "item"
    ) -> None:
        self._rows = rows
        self._total = total if total is not None else len(rows) if isinstance(rows, Sized) else None
        self._desc, self._unit = desc, unit
        self._done = 0
        self._began = self._said = time.monotonic()

    def __iter__(self) -> Iterator[Any]:
        """Iterate over the items, and count them."""
        for row in () if self._rows is None else self._rows:
            yield row
            self.update()

    def update(self, count: int = 1) -> None:
        """Count items, and log a line if the last is a minute ago.

        Args:
            count: Items that were done.
        """
        self._done += count
        now = time.monotonic()
        if now - self._said < _EVERY or self._done == self._total:
            return
        self._said = now
        if self._total is None:
            log.info("%s: %s %ss", self._desc, f"{self._done:,}", self._unit)
            return
        left = (now - self._began) / self._done * (self._total - self._done)
        words = f"{self._done:,} of {self._total:,} {self._unit}s, about {max(1, round(left / 60))} min left"
        log.info("%s: %s", self._desc, words)

    def __enter__(self) -> ProgressLines:
        return self

    def __exit__(self, *_: object) -> None:
        pass
