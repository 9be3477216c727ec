"""mlflow logger: an experiment per study, a run per run folder, in a database file beside them or on a server."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock
from lightning.pytorch.utilities import rank_zero_only
from matplotlib.figure import Figure

from pneumo_ad.errors import ConfigError
from pneumo_ad.files import write_text
from pneumo_ad.loggers.run_logger import Outcome, RunLogger
from pneumo_ad.saved import KIB, is_there, read_text

if TYPE_CHECKING:
    from lightning.pytorch.loggers import MLFlowLogger

_STATUS = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}
_SEVERAL = ("multirun.yaml", "study.db")  # marks of a folder of runs: of a sweep, of a search


class MLFlowRun(RunLogger):
    """Logger of scalars, parameters and figures to mlflow; sets no global state and no environment variable.

    Without a `tracking_uri` the database is `mlflow.db`, an SQLite file (mlflow has deprecated its file store), and the
    figures lie in `mlflow_figures` beside it: in the folder of a sweep, for all its runs, else in the run folder.
    `mlflow ui --backend-store-uri sqlite:///FOLDER/mlflow.db` shows them. The run's id is kept in `mlflow_run_id.txt`,
    so that a resumed training is one run. mlflow has no histograms.

    Args:
        run_dir: The run folder, whose name becomes the run's.
        experiment: Name of the mlflow experiment.
        tracking_uri: URI of the mlflow server, for example `http://host:5000`; None for the database file.

    Raises:
        ConfigError: mlflow is not installed; at first use also mlflow's own error about the location.
    """

    def __init__(self, run_dir: str | Path, experiment: str = "train", tracking_uri: str | None = None) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # mlflow reads it at import
        super().__init__(run_dir, "mlflow", experiment)
        self._tracking_uri = tracking_uri

    @property
    def folder(self) -> Path:
        """Folder of the database, without a `tracking_uri`."""
        above = self.run_dir.parent
        return above if any((above / name).is_file() for name in _SEVERAL) else self.run_dir

    def _open(self) -> MLFlowLogger:
        import mlflow
        from mlflow.exceptions import MlflowException

        # They log every new table and experiment.
        for name in ("alembic", "mlflow.store.db.utils", "lightning.pytorch.loggers.mlflow"):
            logging.getLogger(name).setLevel(logging.ERROR)
        file, before = self.run_dir / "mlflow_run_id.txt", os.environ.get("MLFLOW_TRACKING_URI")
        begun = read_text(file, KIB).strip() if is_there(file) else None
        # Runs of a sweep begin at the same moment, and the tables can be created only once.
        with FileLock(self.folder / ".mlflow.lock"):
            try:
                try:
                    logger = self._of(begun)
                except MlflowException as reason:
                    if begun is None or reason.error_code != "RESOURCE_DOES_NOT_EXIST":
                        raise
                    logger = self._of(None)
            except (MlflowException, OSError) as reason:
                raise ConfigError(f"logger=mlflow: {reason}") from reason
            finally:
                # Lightning's logger sets it for this process and its children; None unsets it.
                mlflow.set_tracking_uri(before)  # type: ignore[arg-type]
        write_text(file, str(logger.run_id))
        return logger

    def _of(self, run_id: str | None) -> MLFlowLogger:
        """Lightning's logger of an existing run, or of a new one."""
        from lightning.pytorch.loggers import MLFlowLogger

        logger = MLFlowLogger(
            self.name,
            run_name=self.run_dir.name,
            tracking_uri=self._tracking_uri or f"sqlite:///{self.folder / 'mlflow.db'}",
            artifact_location=None if self._tracking_uri else (self.folder / "mlflow_figures").as_uri(),
            run_id=run_id,
        )
        logger.experiment.update_run(logger.run_id, status="RUNNING")
        return logger

    def _close(self, outcome: Outcome) -> None:
        self.opened.finalize(_STATUS[outcome])

    @rank_zero_only
    def log_figure(self, name: str, figure: Figure, step: int) -> None:
        """Log a figure as `<name>/<step>.png` among the run's artifacts; see `RunLogger.log_figure`."""
        self.experiment.log_figure(self.version, figure, f"{name}/{step:06d}.png")

    @rank_zero_only
    def log_text(self, name: str, text: str, step: int) -> None:
        """Log a text as `<name>.md` among the run's artifacts; see `RunLogger.log_text`."""
        self.experiment.log_text(self.version, text, f"{name}.md")
