"""What the loggers of experiment trackers have in common: one run of theirs for one run folder of ours."""

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
    """Lightning's logger of a tracker, made at first use by rank 0 and kept open after the training, until `close`.

    Metrics of the test split come when the Trainer is gone; Lightning's logger would have ended the run by then. A run
    folder that is trained on goes on in the same run of the tracker.

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
        """Id that the tracker gave the run, while it is open."""
        return self._opened.version if self._opened else None

    @property
    def opened(self) -> Any:
        """Lightning's logger; made here, by rank 0 alone."""
        if self._opened is None:
            self._opened = self._open()
        return self._opened

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The tracker's own object, for what is not offered here; opens the run."""
        return self.opened.experiment

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *_: Any, **__: Any) -> None:
        """Keep what the run was made of: `params` by dotted key."""
        self.opened.log_hyperparams(params)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Keep `metrics`, scalars, of a `step`."""
        self.opened.log_metrics(metrics, step)

    @rank_zero_only
    def close(self, outcome: Outcome) -> None:
        """End the run, where it was opened, as what it came to; using the logger again opens it again."""
        if self._opened is not None:
            self._close(outcome)
            self._opened = None

    @abstractmethod
    def _open(self) -> Logger:
        """Open the run, or go on with it; returns Lightning's logger."""

    @abstractmethod
    def _close(self, outcome: Outcome) -> None:
        """End the run that is open."""

    @abstractmethod
    def log_figure(self, name: str, figure: Figure, step: int) -> None:
        """Keep a picture.

        Args:
            name: Name of the picture.
            figure: Figure to keep; it stays open.
            step: Step of the training.
        """

    def log_histogram(
        self, name: str, counts: npt.NDArray[np.integer], edges: npt.NDArray[np.floating], step: int
    ) -> None:
        """Keep a histogram; does nothing where the tracker has no histograms.

        Args:
            name: Name of the histogram.
            counts: (N,) number of values in each bin.
            edges: (N + 1,) edges of the bins, rising.
            step: Step of the training.
        """


@contextmanager
def closing(loggers: Sequence[Logger]) -> Iterator[None]:
    """End the runs of trackers as what is done within ends; Lightning's own loggers need nothing."""
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
