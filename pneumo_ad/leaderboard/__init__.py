"""Comparison of the runs of a sweep: grouped over seeds, measured on the same pixels, as tables and figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pneumo_ad import doors

if TYPE_CHECKING:
    from pneumo_ad.leaderboard.compare import compare_runs
    from pneumo_ad.leaderboard.gather import SweptRun, read_sweep
    from pneumo_ad.leaderboard.groups import Comparison, Replicates
    from pneumo_ad.leaderboard.table import leaderboard, print_comparison

__all__ = ["Comparison", "Replicates", "SweptRun", "compare_runs", "leaderboard", "print_comparison", "read_sweep"]

__getattr__, __dir__ = doors(
    __name__,
    {
        "compare": "compare_runs",
        "gather": "SweptRun read_sweep",
        "groups": "Comparison Replicates",
        "table": "leaderboard print_comparison",
    },
)
