"""Logging of figures and histograms to the loggers that accept them: TensorBoard and the trackers, not csv."""

from __future__ import annotations

from collections.abc import Sequence

import lightning as L
import numpy as np
import numpy.typing as npt
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from matplotlib.figure import Figure

from pneumo_ad.loggers.run_logger import RunLogger


def picture_loggers(trainer: L.Trainer) -> list[Logger]:
    """Select a trainer's loggers that accept figures; none on ranks other than 0."""
    if not trainer.is_global_zero:
        return []
    return [logger for logger in trainer.loggers if isinstance(logger, (TensorBoardLogger, RunLogger))]


def log_figure(loggers: Sequence[Logger], name: str, figure: Figure, step: int) -> None:
    """Log a figure to several loggers.

    Args:
        loggers: Loggers from `picture_loggers`.
        name: Name of the figure.
        figure: Figure to log; it stays open.
        step: Step of the training.
    """
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.add_figure(name, figure, step, close=False)
        elif isinstance(logger, RunLogger):
            logger.log_figure(name, figure, step)


def log_histogram(
    loggers: Sequence[Logger],
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
    counts, edges = counts[first:last], edges[first : last + 1]
    least, largest, total, squares = moments
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.add_histogram_raw(
                name, least, largest, int(counts.sum()), total, squares, edges[1:].tolist(), counts.tolist(), step
            )
        elif isinstance(logger, RunLogger):
            logger.log_histogram(name, counts, edges, step)
