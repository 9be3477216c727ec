"""mlflow: an experiment per study, a run per run folder, in a database file beside them or on a server."""

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
_SEVERAL = ("multirun.yaml", "study.db")  # what a folder of several runs holds: of a sweep, of a search


class MLFlowRun(RunLogger):
    """Logs scalars, params and figures to mlflow through Lightning's logger; no global state, no environment variable.

    Without a `tracking_uri` the database is `mlflow.db`, an SQLite file (mlflow's folder of files is given up by
    mlflow itself), and figures lie in `mlflow_figures` beside it: in the folder of a sweep, for all its runs, else in
    the run folder. `mlflow ui --backend-store-uri sqlite:///FOLDER/mlflow.db` shows them. The run's id is kept in
    `mlflow_run_id.txt`, so that a training that goes on is one run. mlflow knows no histograms.

    Args:
        run_dir: The run folder; its name is the run's.
        experiment: Name of the mlflow experiment.
        tracking_uri: Where to, for example `http://host:5000`.

    Raises:
        ConfigError: mlflow is not installed; when it opens, what mlflow itself says of the place.
    """

    def __init__(self, run_dir: str | Path, experiment: str = "train", tracking_uri: str | None = None) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read at its import; nobody asked for statistics
        super().__init__(run_dir, "mlflow", experiment)
        self._tracking_uri = tracking_uri

    @property
    def folder(self) -> Path:
        """Where the database lies, without a `tracking_uri`."""
        above = self.run_dir.parent
        return above if any((above / name).is_file() for name in _SEVERAL) else self.run_dir

    def _open(self) -> MLFlowLogger:
        import mlflow
        from mlflow.exceptions import MlflowException

        # They tell of every table and experiment that is made.
        for name in ("alembic", "mlflow.store.db.utils", "lightning.pytorch.loggers.mlflow"):
            logging.getLogger(name).setLevel(logging.ERROR)
        file, before = self.run_dir / "mlflow_run_id.txt", os.environ.get("MLFLOW_TRACKING_URI")
        begun = read_text(file, KIB).strip() if is_there(file) else None
        # Runs of a sweep begin at the same moment, and the tables can be made only once.
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
                # Lightning's logger sets it for this process and those it starts; None takes it back.
                mlflow.set_tracking_uri(before)  # type: ignore[arg-type]
        write_text(file, str(logger.run_id))
        return logger

    def _of(self, run_id: str | None) -> MLFlowLogger:
        """Lightning's logger of a run that was begun, or of a new one."""
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
        """Keep a picture as `<name>/<step>.png` among the run's artifacts; see `RunLogger.log_figure`."""
        self.experiment.log_figure(self.version, figure, f"{name}/{step:06d}.png")
