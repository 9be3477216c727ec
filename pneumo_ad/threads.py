"""How many threads read files at once."""

from __future__ import annotations

import os

MOST = 8  # a file of 100 megapixels takes 1.2 GB while it is read


def reading_threads() -> int:
    """One per core that this process may use, which of a shared node are few of many; at most `MOST`.

    >>> 1 <= reading_threads() <= MOST
    True
    """
    # Not every system tells which cores are a process's own.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MOST, cores)
