"""Loggers that take more than scalars, and what is common to all of them."""

from __future__ import annotations

from collections.abc import Sequence

import lightning as L
import numpy as np
import numpy.typing as npt

from pneumo_ad.loggers.run_logger import RunLogger


def picture_loggers(trainer: L.Trainer) -> list[RunLogger]:
    """Select a trainer's loggers that take figures: TensorBoard and trackers, not csv; none on ranks other than 0."""
    if not trainer.is_global_zero:
        return []
    return [logger for logger in trainer.loggers if isinstance(logger, RunLogger)]


def step_of(trainer: L.Trainer) -> int:
    """Return the step at which Lightning logs the scalars of the same validation: that of the last batch, from 0."""
    return max(trainer.global_step - 1, 0)


def log_histogram(
    loggers: Sequence[RunLogger],
    name: str,
    counts: npt.NDArray[np.int64],
    edges: npt.NDArray[np.float64],
    moments: tuple[float, float, float, float],
    step: int,
) -> None:
    """Log a histogram to several loggers, cut to its filled bins and the one before them.

    Args:
        loggers: Loggers from `picture_loggers`.
        name: Name of the histogram.
        counts: (N,) int64 number of values in each bin, at least one above 0.
        edges: (N + 1,) float64 edges of the bins, rising.
        moments: Minimum, maximum, sum and sum of squares of the values themselves, not of the bins.
        step: Step of the training.
    """
    filled = np.flatnonzero(counts)
    # Keep an empty bin below the first: TensorBoard has right edges only, and would draw that bar from the minimum.
    first, last = max(filled[0] - 1, 0), filled[-1] + 1
    for logger in loggers:
        logger.log_histogram(name, counts[first:last], edges[first : last + 1], moments, step)
