"""The run folder: what it holds, how it is begun, gone on with and opened again.

Nothing is imported before it is asked for: a sweep passes over its finished runs in no time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pneumo_ad.runs.run import Run, load_run

__all__ = ["Run", "load_run"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pneumo_ad.runs import run

    return getattr(run, name)
