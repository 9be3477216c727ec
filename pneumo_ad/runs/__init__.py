"""The run folder: what it holds, how it is begun, gone on with and opened again.

Nothing is imported before it is asked for: a sweep passes over its finished runs in no time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pneumo_ad import doors

if TYPE_CHECKING:
    from pneumo_ad.runs.run import Run, load_run

__all__ = ["Run", "load_run"]

__getattr__ = doors(__name__, {"run": "Run load_run"})
