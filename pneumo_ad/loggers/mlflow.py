"""mlflow: an experiment per study, a run per run folder, in a database file beside them or on a server."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock
from lightning.pytorch.utilities import rank_zero_only
from matplotlib.figure import Figure

from pneumo_ad.errors import ConfigError
from pneumo_ad.files import write_text
from pneumo_ad.loggers.run_logger import Outcome, RunLogger
from pneumo_ad.saved import KIB, is_there, read_text

if TYPE_CHECKING:
    from mlflow import MlflowClient

_STATUS = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}
_SEVERAL = ("multirun.yaml", "study.db")  # what a folder of several runs holds: of a sweep, of a search
_AT_ONCE, _LONGEST = 100, 6000  # mlflow's limits: params of a call, characters of a param


class MLFlowRun(RunLogger):
    """Logs scalars, params and figures to mlflow, through a client alone: no global state, no environment variable.

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
        super().__init__(run_dir, "mlflow")
        self._experiment_name = experiment
        self._tracking_uri = tracking_uri
        self._run_id: str | None = None

    @property
    def folder(self) -> Path:
        """Where the database lies, without a `tracking_uri`."""
        above = self.run_dir.parent
        return above if any((above / name).is_file() for name in _SEVERAL) else self.run_dir

    @property
    def name(self) -> str:
        """The experiment's name."""
        return self._experiment_name

    @property
    def version(self) -> str | None:
        """Id that mlflow gave the run, once it is open."""
        return self._run_id

    def _open(self) -> MlflowClient:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        for name in ("alembic", "mlflow.store.db.utils"):  # they tell of every table that is made
            logging.getLogger(name).setLevel(logging.WARNING)
        # Runs of a sweep begin at the same moment, and the tables can be made only once.
        with FileLock(self.folder / ".mlflow.lock"):
            try:
                client = MlflowClient(self._tracking_uri or f"sqlite:///{self.folder / 'mlflow.db'}")
                self._run_id = self._go_on(client) or self._begin(client)
            except (MlflowException, OSError) as reason:
                raise ConfigError(f"logger=mlflow: {reason}") from reason
        return client

    def _begin(self, client: MlflowClient) -> str:
        found = client.get_experiment_by_name(self._experiment_name)
        if found is None:
            place = None if self._tracking_uri else (self.folder / "mlflow_figures").as_uri()
            number = client.create_experiment(self._experiment_name, artifact_location=place)
        else:
            number = found.experiment_id
        run_id: str = client.create_run(number, run_name=self.run_dir.name).info.run_id
        write_text(self.run_dir / "mlflow_run_id.txt", run_id)
        return run_id

    def _go_on(self, client: MlflowClient) -> str | None:
        """The run that this folder began; None where there is none in this place."""
        from mlflow.exceptions import MlflowException

        file = self.run_dir / "mlflow_run_id.txt"
        if not is_there(file):
            return None
        run_id = read_text(file, KIB).strip()
        try:
            client.update_run(run_id, status="RUNNING")
        except MlflowException as reason:
            if reason.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
        return run_id

    def _close(self, outcome: Outcome) -> None:
        self.experiment.set_terminated(self._run_id, _STATUS[outcome])

    def _log_params(self, params: dict[str, Any]) -> None:
        from mlflow.entities import Param

        entries = [Param(_allowed(key), str(value)[:_LONGEST]) for key, value in params.items()]
        for i in range(0, len(entries), _AT_ONCE):
            self.experiment.log_batch(self._run_id, params=entries[i : i + _AT_ONCE])

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Keep `metrics`, scalars, of a `step`."""
        from mlflow.entities import Metric

        client, now = self.experiment, int(time.time() * 1000)  # milliseconds
        client.log_batch(
            self._run_id,
            metrics=[Metric(_allowed(key), float(value), now, step or 0) for key, value in metrics.items()],
        )

    @rank_zero_only
    def log_figure(self, name: str, figure: Figure, step: int) -> None:
        """Keep a picture as `<name>/<step>.png` among the run's artifacts; see `RunLogger.log_figure`."""
        client = self.experiment
        client.log_figure(self._run_id, figure, f"{name}/{step:06d}.png")


def _allowed(key: str) -> str:
    """A key with what mlflow refuses replaced."""
    return re.sub(r"[^\w\-. :/]", "_", key)
