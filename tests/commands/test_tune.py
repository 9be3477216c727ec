"""The search: what is tried, what goes on after a kill, what is said when nothing works."""

import json
from pathlib import Path

import optuna
import pytest
from omegaconf import OmegaConf

from pneumo_ad.commands import tune as module
from pneumo_ad.commands.tune import tune
from pneumo_ad.errors import ConfigError, DataError
from pneumo_ad.runs.compose import compose_config
from pneumo_ad.runs.optuna_study import _keep_question, distributions

TINY = [
    "experiment=hpo_unet", "data.normal=40", "data.pneumonia=60", "data.size=96", "image_size=64", "patch=8",
    "stride=8", "batch_size=16", "per_epoch=64", "trainer=cpu", "trainer.max_epochs=1",
    "trainer.check_val_every_n_epoch=1", "callbacks=minimal", "tune.space.net.depth.high=2",
]  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def tried(monkeypatch):
    """Trials that cost nothing: the wider the net the better."""
    runs = []

    def run(overrides, place, metric):
        runs.append((overrides, place))
        return float(dict(one.split("=", 1) for one in overrides if "=" in one)["net.width"])

    monkeypatch.setattr(module, "_train", run)
    return runs


def study_of(folder):
    return optuna.load_study(study_name="hpo_unet", storage=f"sqlite:///{folder / 'study.db'}")


def storage_of(name):
    (file,) = Path("sweeps", name).glob("*/study.db")
    return f"sqlite:///{file}"


def test_a_trial_is_a_run_measured_on_validation(capfd):
    folder = tune([*TINY, "tune.trials=1"])
    (trial,) = study_of(folder).trials
    metrics = json.loads((folder / trial.user_attrs["folder"] / "metrics.json").read_text())
    assert metrics["about"]["subset"] == "val"
    assert trial.value == metrics["pixel/auroc_in_lung"]
    config = OmegaConf.load(folder / trial.user_attrs["folder"] / ".hydra" / "config.yaml")
    assert trial.params["net.width"] == config.net.width
    assert trial.params["optimizer.lr"] == pytest.approx(config.optimizer.lr)
    assert "subset=test" in capfd.readouterr().out


def test_the_same_command_goes_on_to_the_same_number(tried):
    folder = tune([*TINY, "tune.trials=3"])
    tune([*TINY, "tune.trials=3"])
    assert len(tried) == 3
    tune([*TINY, "tune.trials=5"])
    assert len(tried) == 5
    assert len({place for _, place in tried}) == 5
    assert study_of(folder).best_trial.params["net.width"] == max(
        trial.params["net.width"] for trial in study_of(folder).trials
    )


def test_another_setting_is_another_study(tried):
    assert tune([*TINY, "tune.trials=1"]) != tune([*TINY, "tune.trials=1", "seed=3"])


def test_a_trial_whose_worker_died_is_tried_again_in_its_folder(tried):
    folder = tune([*TINY, "tune.trials=1"])
    study = study_of(folder)
    space = distributions(OmegaConf.to_container(compose_config("train", TINY).tune.space))
    left = study.ask(space)
    left.set_user_attr("worker", "died")
    tune([*TINY, "tune.trials=2"])
    assert [one for one in tried[1][0] if one.startswith("optimizer.lr")] == [
        f"optimizer.lr={left.params['optimizer.lr']}"
    ]
    assert len(tried) == 2
    states = [trial.state.name for trial in study_of(folder).trials]
    assert states == ["COMPLETE", "FAIL", "COMPLETE"]


def test_a_trial_of_a_living_worker_is_left_alone(tried):
    from filelock import FileLock

    folder = tune([*TINY, "tune.trials=1"])
    space = distributions(OmegaConf.to_container(compose_config("train", TINY).tune.space))
    study_of(folder).ask(space).set_user_attr("worker", "alive")
    with FileLock(folder / "workers" / "alive"):
        tune([*TINY, "tune.trials=2"])  # the other worker is at the second
        assert [trial.state.name for trial in study_of(folder).trials] == ["COMPLETE", "RUNNING"]
        tune([*TINY, "tune.trials=3"])
    assert [trial.state.name for trial in study_of(folder).trials] == ["COMPLETE", "RUNNING", "COMPLETE"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("evaluate=test", "evaluate=val"),
        ("tune.direction=up", "maximize or minimize"),
        ("tune.trials=many", "whole number"),
    ],
)
def test_settings_that_cannot_be_are_refused(change, words):
    with pytest.raises(ConfigError, match=words):
        tune([*TINY, change])


def test_a_study_keeps_its_question(tried):
    tune([*TINY, "tune.trials=1", "name=kept"])
    with pytest.raises(ConfigError, match=r"metric: 'pixel/auroc_in_lung' -> 'image/auroc'.*name="):
        _keep_question(
            optuna.load_study(study_name="kept", storage=storage_of("kept")),
            {"metric": "image/auroc"},
            "sweeps/kept",
        )


def test_where_nothing_works_it_stops_and_says_why(monkeypatch):
    calls = []
    monkeypatch.setattr(module, "_train", lambda *arguments: calls.append(1) or "lungs= found nothing")
    with pytest.raises(DataError, match="first 3 trials failed; the last: lungs= found nothing"):
        tune([*TINY, "tune.trials=20"])
    assert len(calls) == 3


def test_one_failure_among_successes_is_counted_and_passed_over(monkeypatch):
    answers = iter([0.5, "out of luck", 0.6])
    monkeypatch.setattr(module, "_train", lambda *arguments: next(answers))
    study = study_of(tune([*TINY, "tune.trials=3"]))
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "FAIL", "COMPLETE"]
    assert study.trials[1].user_attrs["reason"] == "out of luck"


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ({"net": {"width": 8}}, "tune.space.net.width=8"),
        ({"lr": {"low": 1}}, "tune.space.lr"),
        ({"a": []}, "tune.space.a"),
    ],
)
def test_a_space_that_cannot_be_searched_is_named(space, words):
    with pytest.raises(ConfigError, match=words):
        distributions(space)


def test_a_range_is_whole_where_its_ends_are():
    space = distributions({"a": {"low": 1, "high": 4}, "b": {"low": 0.1, "high": 1.0, "log": True}})
    assert isinstance(space["a"], optuna.distributions.IntDistribution)
    assert space["b"].log


def test_a_recipe_without_a_space_is_refused():
    with pytest.raises(ConfigError, match="experiment=hpo_unet"):
        tune(["experiment=paper"])
