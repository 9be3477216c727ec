"""Progress bars of long loops: only on a terminal, and not with `--quiet`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from pneumo_ad.errors import is_quiet


def has_bars() -> bool:
    """Whether progress bars are drawn: only on a terminal, as a file would hold every state of a bar."""
    return sys.stderr.isatty() and not is_quiet()


def progress_bar(rows: Iterable[Any] | None = None, *, shown: bool = True, **options: Any) -> Any:
    """Return a progress bar of tqdm; outside of notebooks it is drawn only if `has_bars` is true.

    Args:
        rows: Items of the loop; None for a bar that is updated by hand.
        shown: Whether to draw the bar at all.
        options: Further options of tqdm, such as `total`, `desc` and `unit`.
    """
    from tqdm.auto import tqdm

    return tqdm(rows, disable=None if shown and not is_quiet() else True, leave=False, **options)
