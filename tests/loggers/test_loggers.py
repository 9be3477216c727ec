"""Where a run is logged to: each logger alone and several at once tell the same; a training that goes on is one run."""

import json
import os
import struct
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from lightning.pytorch.loggers import Logger
from matplotlib.figure import Figure
from running import TINY, start
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from test_conf import CHOICES

from pneumo_ad.errors import ConfigError
from pneumo_ad.loggers import MLFlowRun, RunLogger, TensorBoardRun, WandbRun, closing
from pneumo_ad.loggers.pictures import log_histogram
from pneumo_ad.metrics.catalogue import HEADLINE
from pneumo_ad.runs.compose import build_all, compose_config

LOGGERS = [choice for group, choice in CHOICES if group == "logger"]
RUN = [one for one in TINY if not one.startswith(("logger=", "evaluate=", "callbacks=minimal"))]
RUN += ["trainer.log_every_n_steps=1", "draw_every_n_epochs=2"]
PICTURES = {"maps/anomaly", "maps/red_frames", "reconstruction/normal_lung", "reconstruction/pneumonia"}

pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture(scope="module")
def run(shared):
    """A run that told four loggers at once, and the environment that it left."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PNEUMO_AD_CACHE", str(shared / "cache"))
        patch.setattr(sys, "argv", sys.argv)
        patch.chdir(shared)
        before = {key for key in os.environ if key.startswith("WANDB")}
        assert start("train", *RUN, "logger=[tensorboard,csv,mlflow,wandb]", "hydra.run.dir=run") == 0
        assert {key for key in os.environ if key.startswith("WANDB")} == before
        assert "MLFLOW_TRACKING_URI" not in os.environ
        assert {path.name for path in shared.iterdir()} == {"cache", "run"}  # nothing beside the run
    return shared / "run"


def of_csv(folder):
    """(key, step) -> value of every scalar in metrics.csv."""
    (file,) = folder.glob("csv/*/metrics.csv")
    long = pd.read_csv(file).melt(id_vars="step").dropna()
    return {(row.variable, row.step): row.value for row in long.itertuples() if row.variable != "epoch"}


def of_mlflow(folder, database=None):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{database or folder / 'mlflow.db'}")
    run = client.get_run((folder / "mlflow_run_id.txt").read_text())
    history = (point for key in run.data.metrics for point in client.get_metric_history(run.info.run_id, key))
    return client, run, {(point.key, point.step): point.value for point in history if point.key != "epoch"}


def records(file):
    """What a .wandb file holds, read by hand: LevelDB's log format (blocks of 32 KiB, each record in parts)."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, whole = file.read_bytes(), 7, b""
    assert data.startswith(b":W&B")
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:  # no room for a head: the block's rest is empty
            at += 32768 - at % 32768
            continue
        _, length, part = struct.unpack("<IHB", data[at : at + 7])
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if part in (1, 4):  # all of it, or the last of it
            yield Record.FromString(whole)
            whole = b""


def of_wandb(folder):
    """Scalars, what else was logged, config, exit codes and ids, from the files that `wandb sync` would send."""
    scalars, others, config, exits, ids = {}, set(), {}, [], []
    for file in sorted(folder.glob("wandb/*run-*/*.wandb")):
        for record in records(file):
            row = {tuple(item.nested_key): json.loads(item.value_json) for item in record.history.item}
            others |= {name for name, *parts in row if parts}
            plain = {name: value for (name, *parts), value in row.items() if not parts and not name.startswith("_")}
            step = plain.pop("trainer/global_step", None)
            scalars |= {(name, step): value for name, value in plain.items() if name != "epoch"}
            config |= {item.key: json.loads(item.value_json) for item in record.config.update}
            if record.WhichOneof("record_type") == "run":
                ids.append(record.run.run_id)
            if record.WhichOneof("record_type") == "exit":
                exits.append(record.exit.exit_code)
    return scalars, others, config, exits, ids


def of_tensorboard(folder):
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0, "histograms": 0})
    events.Reload()
    found = {
        (key, event.step): event.value for key in events.Tags()["scalars"] if key != "epoch"
        for event in events.Scalars(key)
    }  # fmt: skip
    return found, events.Tags()


def test_all_loggers_hold_the_same_scalars(run):
    csv, (_, _, mlflow), (wandb, *_) = of_csv(run), of_mlflow(run), of_wandb(run)
    tensorboard, _ = of_tensorboard(run)
    assert {key for key, _ in csv} >= {"train/loss_step", "val/loss", "val/sad_pneumonia", "patch/macro_f1"}
    assert mlflow == pytest.approx(csv)
    assert wandb == pytest.approx(csv)
    assert len([point for point in csv if point[0] not in HEADLINE]) >= 20
    assert tensorboard == pytest.approx(csv, rel=1e-5)


def test_the_outcome_in_every_logger_is_that_of_metrics_json(run):
    metrics = json.loads((run / "metrics.json").read_text())
    expected = {key: metrics[key] for key in HEADLINE if key in metrics}
    assert len(expected) > 8
    for found in (of_csv(run), of_mlflow(run)[2], of_wandb(run)[0], of_tensorboard(run)[0]):
        assert {key: value for (key, _), value in found.items() if key in HEADLINE} == pytest.approx(expected, rel=1e-5)


def test_pictures_go_to_all_but_csv_and_histograms_where_they_are_known(run):
    client, logged, _ = of_mlflow(run)
    kept = {f"{part}/{below.path.split('/')[1]}" for part in ("maps", "reconstruction")
            for below in client.list_artifacts(logged.info.run_id, part)}  # fmt: skip
    assert kept == PICTURES
    written = {found.path for found in client.list_artifacts(logged.info.run_id) if not found.is_dir}
    assert written >= {"card.md", "results.md"}
    (picture, *_) = (run / "mlflow_figures").rglob("maps/anomaly/*.png")
    assert picture.read_bytes().startswith(b"\x89PNG")
    histograms = {"sad/normal_lung", "sad/normal", "sad/pneumonia"}
    assert of_wandb(run)[1] - {"confusion_of_kinds/test"} == PICTURES | histograms
    tags = of_tensorboard(run)[1]
    assert set(tags["images"]) - {"confusion_of_kinds/test"} == PICTURES
    assert set(tags["histograms"]) == histograms


def test_trackers_know_the_config_and_the_runs_name(run):
    _, logged, _ = of_mlflow(run)
    assert logged.info.run_name == "run"
    assert logged.info.status == "FINISHED"
    assert logged.data.params["net.width"] == "4"
    assert logged.data.params["loss._target_"] == "pneumo_ad.losses.DiceLoss"
    assert not any(str(run) in value for value in logged.data.params.values())
    _, _, config, exits, ids = of_wandb(run)
    assert config["net.width"] == 4
    params = {key: value for key, value in logged.data.params.items() if "/" not in key}  # of a list of mappings
    assert len(params) > 100
    assert {key: str(value) for key, value in config.items() if key in params} == params
    assert exits == [0]
    assert len(set(ids)) == 1


@pytest.mark.parametrize("choice", LOGGERS)
def test_each_choice_alone_is_a_run(choice):
    options = [one for one in TINY if not one.startswith("logger=")]
    assert start("train", *options, f"logger={choice}", "trainer.max_epochs=1", "hydra.run.dir=run") == 0
    folder = Path("run")
    found = {
        "tensorboard": any(folder.glob("events*")),
        "csv": any(folder.glob("csv/*/metrics.csv")),
        "mlflow": (folder / "mlflow.db").is_file(),
        "wandb": any(folder.glob("wandb/offline-run-*/*.wandb")),
    }
    assert found == {name: name == choice for name in found}


def test_no_logger_at_all_is_a_list_without_one():
    assert build_all(compose_config("train", ["logger=[]"]).logger) == []
    assert compose_config("train", ["logger=[]"]) == compose_config("train", ["logger=none"])
    assert compose_config("train", ["logger=tensorboard"]) == compose_config("train")


@pytest.mark.parametrize("command", ["train", "classify", "train_lungs"])
@pytest.mark.parametrize("choice", LOGGERS)
def test_every_command_takes_every_choice_and_all_of_them(command, choice, monkeypatch):
    monkeypatch.setenv("PNEUMO_AD_DATA", "data")
    named = set() if choice == "none" else {choice}
    assert set(compose_config(command, [f"logger={choice}"]).logger) == named
    several = compose_config(command, [f"logger=[{','.join(LOGGERS)}]"]).logger
    assert set(several) == set(LOGGERS) - {"none"}
    assert several.get(choice) == compose_config(command, [f"logger={choice}"]).logger.get(choice)


def test_a_group_set_to_null_is_refused_with_its_choices(capsys):
    assert start("train", "logger=null") == 2
    assert "logger=null" in (told := capsys.readouterr().err)
    assert ", ".join(LOGGERS) in told


def test_a_training_that_goes_on_is_one_run_of_each_tracker():
    options = [one for one in TINY if not one.startswith(("logger=", "trainer.max_epochs"))]
    options += ["logger=[mlflow,wandb]", "trainer.max_epochs=3", "hydra.run.dir=run"]

    def stop(trainer, module):
        if trainer.current_epoch == 1:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pneumo_ad.callbacks.SaveOnTermination.on_train_epoch_start", lambda self, *a: stop(*a))
        assert start("train", *options) != 0
    folder = Path("run")
    first = (folder / "mlflow_run_id.txt").read_text()
    assert of_mlflow(folder)[1].info.status == "KILLED"
    assert start("train", *options) == 0
    client, logged, history = of_mlflow(folder)
    assert logged.info.run_id == first
    assert logged.info.status == "FINISHED"
    assert len(client.search_runs([logged.info.experiment_id])) == 1
    epochs = [value for (key, _), value in sorted(history.items()) if key == "val/loss"]
    assert len(epochs) == 3
    scalars, _, _, exits, ids = of_wandb(folder)
    assert len(list(folder.glob("wandb/offline-run-*"))) == 2
    assert len(set(ids)) == 1
    assert exits == [143, 0]
    assert [value for (key, _), value in sorted(scalars.items()) if key == "val/loss"] == pytest.approx(epochs)


def test_the_runs_of_a_sweep_share_one_database():
    options = [one for one in TINY if not one.startswith(("logger=", "trainer.max_epochs"))]
    sweep = [*options, "-m", "logger=[csv,mlflow]", "trainer.max_epochs=1", "seed=0,1", "hydra.sweep.dir=sweep"]
    assert start("train", *sweep) == 0
    client, logged, _ = of_mlflow(Path("sweep/seed=0"), "sweep/mlflow.db")
    runs = client.search_runs([logged.info.experiment_id])
    assert client.get_experiment(logged.info.experiment_id).name == "train"
    assert {(run.info.run_name, run.data.params["seed"], run.info.status) for run in runs} == {
        ("seed=0", "0", "FINISHED"), ("seed=1", "1", "FINISHED"),
    }  # fmt: skip
    assert not list(Path("sweep").glob("seed*/mlflow.db"))
    before = len(runs)
    assert start("train", *sweep) == 0  # finished: nothing begins anew
    assert len(client.search_runs([logged.info.experiment_id])) == before


@pytest.mark.parametrize("package", ["mlflow", "wandb"])
def test_a_package_that_is_missing_is_named_with_its_extra(package, monkeypatch, capsys):
    monkeypatch.setattr("pneumo_ad.loggers.run_logger.find_spec", lambda name: None)
    assert start("train", *TINY, f"logger={package}", "hydra.run.dir=run") == 2
    assert f'pip install "pneumo_ad[{package}]"' in capsys.readouterr().err
    assert not Path("run/checkpoints").exists()  # before anything is trained


def test_a_place_that_mlflow_refuses_is_the_users_to_mend(tmp_path):
    with pytest.raises(ConfigError, match="logger=mlflow"):
        _ = MLFlowRun(tmp_path, tracking_uri=f"file://{tmp_path}/mlruns").experiment


@pytest.mark.parametrize("kind", [MLFlowRun, TensorBoardRun, WandbRun])
def test_other_ranks_write_nothing(kind, tmp_path, monkeypatch):
    from lightning.pytorch.utilities import rank_zero_only

    monkeypatch.setattr(rank_zero_only, "rank", 1)
    logger = kind(tmp_path)
    with closing([logger]):
        logger.log_hyperparams({"a": 1})
        logger.log_metrics({"b": 2.0}, 3)
        logger.log_figure("c", Figure(), 3)
        logger.log_histogram("d", np.array([1]), np.array([0.0, 1.0]), (0.1, 0.1, 0.1, 0.01), 3)
        logger.log_text("e", "text", 3)
        logger.log_curve("f", np.ones((4, 2), dtype=int), 3)
        logger.log_outcome({"g": 1.0}, {}, 3)
        logger.save()
        _ = logger.experiment.anything
    assert not list(tmp_path.iterdir())


class Noting(RunLogger):
    """Notes what it is told."""

    def __init__(self, folder):
        super().__init__(folder, "torch", "noting")
        self.told = []

    def _open(self):
        return self

    def _close(self, outcome):
        self.told.append(outcome)

    def log_metrics(self, metrics, step=None):
        assert self.opened is self
        self.told.append((metrics, step))

    def log_figure(self, name, figure, step):
        self.told.append((name, figure, step))

    def log_histogram(self, name, counts, edges, moments, step):
        self.told.append((name, counts.tolist(), edges.tolist(), moments, step))


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [(None, "finished"), (ValueError, "failed"), (SystemExit, "interrupted"), (KeyboardInterrupt, "interrupted")],
)
def test_what_is_open_is_closed_as_it_ended(reason, outcome, tmp_path):
    used, unused = Noting(tmp_path), Noting(tmp_path)

    def work():
        with closing([used, unused]):
            used.log_metrics({"a": 1.0}, 0)
            if reason:
                raise reason

    if reason:
        with pytest.raises(reason):
            work()
    else:
        work()
    assert used.told == [({"a": 1.0}, 0), outcome]
    assert unused.told == []


def test_only_filled_bins_are_handed_over(tmp_path):
    logger, counts, edges = Noting(tmp_path), np.array([0, 0, 3, 0, 2, 0]), np.arange(7.0)
    log_histogram([logger], "h", counts, edges, (2.1, 4.9, 15.0, 50.0), 7)
    assert logger.told == [("h", [0, 3, 0, 2], [1.0, 2.0, 3.0, 4.0, 5.0], (2.1, 4.9, 15.0, 50.0), 7)]


def test_every_choice_makes_loggers():
    for choice in LOGGERS:
        config = compose_config("train", [f"logger={choice}"])
        config.run_dir = "run"
        made = build_all(config.logger)
        assert all(isinstance(one, Logger) for one in made)
        assert len(made) == (choice != "none")
