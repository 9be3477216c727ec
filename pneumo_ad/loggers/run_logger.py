"""Base class of experiment-tracker loggers: one tracker run per run folder."""

from __future__ import annotations

from abc import abstractmethod
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from lightning.pytorch.loggers import Logger
from lightning.pytorch.loggers.logger import rank_zero_experiment
from lightning.pytorch.utilities import rank_zero_only
from matplotlib.figure import Figure

from pneumo_ad.errors import ConfigError

Outcome = Literal["finished", "failed", "interrupted"]


class RunLogger(Logger):
    """Wrapper of Lightning's logger of a tracker, opened at first use by rank 0 and kept open until `close`.

    Metrics of the test split arrive after the Trainer has finished, when Lightning's logger would have ended the run. A
    resumed training continues the same run of the tracker.

    Args:
        run_dir: The run folder.
        package: Python package of the tracker; also the name of its extra.
        name: Name of the tracker's experiment or project.

    Raises:
        ConfigError: The package is not installed.
    """

    def __init__(self, run_dir: str | Path, package: str, name: str) -> None:
        super().__init__()
        if find_spec(package) is None:
            raise ConfigError(
                f'logger={package} needs {package}, which is not installed: pip install "pneumo_ad[{package}]"; '
                "logger=tensorboard and logger=csv need nothing more"
            )
        self.run_dir = Path(run_dir).resolve()
        self._name = name
        self._opened: Logger | None = None

    @property
    def name(self) -> str:
        """Name of the experiment or project."""
        return self._name

    @property
    def version(self) -> str | int | None:
        """Id of the tracker's run, while it is open."""
        return self._opened.version if self._opened else None

    @property
    def opened(self) -> Any:
        """Lightning's logger, created at first access, on rank 0 alone."""
        if self._opened is None:
            self._opened = self._open()
        return self._opened

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The tracker's own object, for functions that are not wrapped here; opens the run."""
        return self.opened.experiment

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *_: Any, **__: Any) -> None:
        """Log the run's hyper-parameters: `params` by dotted key."""
        self.opened.log_hyperparams(params)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log scalar `metrics` at a `step`."""
        self.opened.log_metrics(metrics, step)

    @rank_zero_only
    def close(self, outcome: Outcome) -> None:
        """End the run, if it is open, with its outcome; a later use of the logger opens it again."""
        if self._opened is not None:
            self._close(outcome)
            self._opened = None

    @abstractmethod
    def _open(self) -> Logger:
        """Open or continue the run; returns Lightning's logger."""

    @abstractmethod
    def _close(self, outcome: Outcome) -> None:
        """End the open run."""

    @abstractmethod
    def log_figure(self, name: str, figure: Figure, step: int) -> None:
        """Log a figure.

        Args:
            name: Name of the figure.
            figure: Figure to log; it stays open.
            step: Step of the training.
        """

    # What a tracker has no place for is left out here, and nowhere else.

    def log_histogram(
        self,
        name: str,
        counts: npt.NDArray[np.integer],
        edges: npt.NDArray[np.floating],
        moments: tuple[float, float, float, float],
        step: int,
    ) -> None:
        """Log a histogram; does nothing if the tracker has no histograms.

        Args:
            name: Name of the histogram.
            counts: (N,) integer number of values in each bin.
            edges: (N + 1,) float edges of the bins, rising.
            moments: Minimum, maximum, sum and sum of squares of the values themselves, not of the bins.
            step: Step of the training.
        """

    def log_text(self, name: str, text: str, step: int) -> None:
        """Log a text; does nothing if the tracker has no texts.

        Args:
            name: Name of the text.
            text: Markdown.
            step: Step of the training.
        """

    def log_curve(self, name: str, counts: npt.NDArray[np.integer], step: int) -> None:
        """Log a precision-recall curve; does nothing if the tracker has no curves.

        Args:
            name: Name of the curve.
            counts: (4, T) true and false positives, true and false negatives at T thresholds, rising.
            step: Step of the training.
        """

    def log_outcome(self, metrics: Mapping[str, float], words: Mapping[str, str], step: int) -> None:
        """Log results that were measured after the training.

        Args:
            metrics: Results by key, those that compare runs first.
            words: Key -> its name in words.
            step: Last step of the training.
        """
        self.log_metrics(metrics, step)

    def continue_from(self, step: int) -> None:
        """Go on with a run whose checkpoint is at this step; called before anything is logged."""


@contextmanager
def closing(loggers: Sequence[Logger]) -> Iterator[None]:
    """End the runs of trackers when the block ends, with its outcome; Lightning's own loggers need no end."""
    outcome: Outcome = "finished"
    try:
        yield
    except BaseException as reason:
        outcome = "failed" if isinstance(reason, Exception) else "interrupted"
        raise
    finally:
        for logger in loggers:
            if isinstance(logger, RunLogger):
                logger.close(outcome)
