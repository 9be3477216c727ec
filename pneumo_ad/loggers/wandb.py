"""Weights & Biases logger: a project per study, a run per run folder; offline by default."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from lightning.pytorch.utilities import rank_zero_only
from matplotlib.figure import Figure

from pneumo_ad.errors import ConfigError
from pneumo_ad.loggers.run_logger import Outcome, RunLogger

if TYPE_CHECKING:
    from lightning.pytorch.loggers import WandbLogger

_SERVICE = "WANDB_SERVICE"
_STATUS = {"finished": 0, "failed": 1, "interrupted": 143}


class WandbRun(RunLogger):
    """Logger of scalars, config, figures and histograms to Weights & Biases; no global run, no environment variable.

    Files lie in `run_dir/wandb`. Offline nothing leaves the machine and no login is needed; `wandb sync
    RUN/wandb/offline-run-*` sends them later. A resumed training has the same id: offline it adds a folder, and `wandb
    sync` of all of them makes one run.

    Args:
        run_dir: The run folder, whose name becomes the run's.
        project: Name of the project.
        offline: Whether to keep all files on this machine. Online needs `wandb login` first.

    Raises:
        ConfigError: wandb is not installed; at first use also wandb's own error, for example a missing login.
    """

    def __init__(self, run_dir: str | Path, project: str = "train", offline: bool = True) -> None:
        super().__init__(run_dir, "wandb", project)
        self._offline = offline

    def _open(self) -> WandbLogger:
        import wandb
        from lightning.pytorch.loggers import WandbLogger

        self._alone = _SERVICE not in os.environ
        # `run-<time>-<id>` and `offline-run-<time>-<id>`: all have the id of the first.
        before = sorted((self.run_dir / "wandb").glob("*run-*-*"))
        # Not through Lightning's logger, which would set WANDB_MODE for this process and its children.
        try:
            run = wandb.init(
                project=self.name,
                name=self.run_dir.name,
                dir=str(self.run_dir),
                id=before[0].name.rpartition("-")[2] if before else None,
                resume=None if self._offline else "allow",
                mode="offline" if self._offline else "online",
                reinit="create_new",
                # Neither capture the terminal nor print to it.
                settings=wandb.Settings(console="off", silent=True),
            )
        except wandb.Error as reason:
            raise ConfigError(
                f"logger=wandb: {reason}; logger.wandb.offline=true, the default, needs no login"
            ) from reason
        run.define_metric("trainer/global_step", hidden=True)  # the step of Lightning's logger
        run.define_metric("*", step_metric="trainer/global_step", step_sync=True)
        return WandbLogger(project=self.name, experiment=run)

    def _close(self, outcome: Outcome) -> None:
        import wandb

        self.experiment.finish(exit_code=_STATUS[outcome])
        if self._alone:  # stops wandb's helper process; later processes would find it through the variable
            wandb.teardown()
            os.environ.pop(_SERVICE, None)

    @rank_zero_only
    def log_figure(self, name: str, figure: Figure, step: int) -> None:
        """Log a figure; see `RunLogger.log_figure`."""
        self.opened.log_image(name, [figure], step)

    @rank_zero_only
    def log_histogram(
        self,
        name: str,
        counts: npt.NDArray[np.integer],
        edges: npt.NDArray[np.floating],
        moments: tuple[float, float, float, float],
        step: int,
    ) -> None:
        """Log counts (N,) between edges (N + 1,), at most 512 bins; see `RunLogger.log_histogram`."""
        import wandb

        self.opened.log_metrics({name: wandb.Histogram(np_histogram=(counts.tolist(), edges.tolist()))}, step)
