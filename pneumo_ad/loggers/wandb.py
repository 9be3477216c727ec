"""Weights & Biases: a project per study, a run per run folder; offline unless asked otherwise."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from lightning.pytorch.utilities import rank_zero_only
from matplotlib.figure import Figure

from pneumo_ad.errors import ConfigError
from pneumo_ad.loggers.run_logger import Outcome, RunLogger

if TYPE_CHECKING:
    from wandb import Run

_SERVICE = "WANDB_SERVICE"
_STATUS = {"finished": 0, "failed": 1, "interrupted": 143}


class WandbRun(RunLogger):
    """Logs scalars, config, figures and histograms to Weights & Biases, without touching its global run or environment.

    Files lie in `run_dir/wandb`. Offline nothing leaves the machine and nobody is asked to log in; `wandb sync
    RUN/wandb/offline-run-*` sends them later. A training that goes on has the same id: offline that is one more folder,
    and `wandb sync` of all of them makes one run.

    Args:
        run_dir: The run folder; its name is the run's.
        project: Name of the project.
        offline: Whether to keep everything here. Online needs `wandb login` first.

    Raises:
        ConfigError: wandb is not installed; when it opens, what wandb itself says, for example that nobody logged in.
    """

    def __init__(self, run_dir: str | Path, project: str = "train", offline: bool = True) -> None:
        super().__init__(run_dir, "wandb")
        self._project = project
        self._offline = offline
        self._id: str | None = None

    @property
    def name(self) -> str:
        """The project's name."""
        return self._project

    @property
    def version(self) -> str | None:
        """Id that wandb gave the run, once it is open."""
        return self._id

    def _open(self) -> Run:
        import wandb

        self._alone = _SERVICE not in os.environ
        # `run-<time>-<id>` and `offline-run-<time>-<id>`: the id of the first is that of all.
        before = sorted((self.run_dir / "wandb").glob("*run-*-*"))
        try:
            run = wandb.init(
                project=self._project,
                name=self.run_dir.name,
                dir=str(self.run_dir),
                id=before[0].name.rpartition("-")[2] if before else None,
                resume=None if self._offline else "allow",
                mode="offline" if self._offline else "online",
                reinit="create_new",
                # The terminal stays the user's: nothing is caught from it and nothing printed.
                settings=wandb.Settings(console="off", silent=True),
            )
        except wandb.Error as reason:
            raise ConfigError(
                f"logger=wandb: {reason}; logger.wandb.offline=true, the default, needs no login"
            ) from reason
        self._id = run.id
        run.define_metric("step", hidden=True)
        run.define_metric("*", step_metric="step", step_sync=True)
        return run

    def _close(self, outcome: Outcome) -> None:
        import wandb

        self.experiment.finish(exit_code=_STATUS[outcome])
        if self._alone:  # its helper process, and the variable that leads processes started later to it
            wandb.teardown()
            os.environ.pop(_SERVICE, None)

    def _log_params(self, params: dict[str, Any]) -> None:
        self.experiment.config.update(params, allow_val_change=True)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Keep `metrics`, scalars or wandb's own objects, of a `step`."""
        self.experiment.log({**metrics, **({} if step is None else {"step": step})})

    @rank_zero_only
    def log_figure(self, name: str, figure: Figure, step: int) -> None:
        """Keep a picture; see `RunLogger.log_figure`."""
        import wandb

        self.log_metrics({name: wandb.Image(figure)}, step)

    @rank_zero_only
    def log_histogram(
        self, name: str, counts: npt.NDArray[np.integer], edges: npt.NDArray[np.floating], step: int
    ) -> None:
        """Keep counts (N,) between edges (N + 1,), at most 512 of them; see `RunLogger.log_histogram`."""
        import wandb

        self.log_metrics({name: wandb.Histogram(np_histogram=(counts.tolist(), edges.tolist()))}, step)
