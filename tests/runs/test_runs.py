"""Runs of other versions of this project: opened where that can be, else refused with what to do."""

import json
import shutil
from contextlib import suppress
from copy import deepcopy

import pytest
from omegaconf import OmegaConf
from running import TINY, start

from pneumo_ad import __version__
from pneumo_ad.errors import ConfigError, UserError
from pneumo_ad.prediction.run_predictor import RunPredictor
from pneumo_ad.runs.calibration import validation_scores
from pneumo_ad.runs.compose import compose_config
from pneumo_ad.runs.past import ADDED, ADDED_TO
from pneumo_ad.runs.record import update_run_json
from pneumo_ad.runs.run import load_run
from pneumo_ad.runs.scorer import scoring_of


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    monkey = pytest.MonkeyPatch()
    monkey.setenv("PNEUMO_AD_CACHE", str(folder / "cache"))
    assert start("train", *TINY, "trainer.max_epochs=1", f"hydra.run.dir={folder / 'run'}") == 0
    monkey.undo()
    return folder


@pytest.fixture
def run(trained, monkeypatch, tmp_path):
    monkeypatch.setenv("PNEUMO_AD_CACHE", str(trained / "cache"))
    shutil.copytree(trained / "run", tmp_path / "run")
    return tmp_path / "run"


def rewrite(run, change):
    file = run / ".hydra" / "config.yaml"
    config = OmegaConf.to_container(OmegaConf.load(file))
    change(config)
    file.write_text(OmegaConf.to_yaml(OmegaConf.create(config)))


def made_by(run, version):
    file = run / "run.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"pneumo_ad": version, "commit": "0a1b2c"}))


def test_keys_that_came_later_take_the_value_that_keeps_what_the_run_did(run):
    def earlier(config):
        for key in ADDED:
            del config[key]
        for part in ("datamodule", "module"):
            for key in ADDED_TO[config[part]["_target_"]]:
                del config[part][key]

    rewrite(run, earlier)
    opened = load_run(run, ["relative=0.2"])
    assert all(opened.config[key] == value for key, value in ADDED.items() if key not in ("relative", "evaluation"))
    assert (opened.config.relative, opened.options.relative, opened.options.kept_windows) == (0.2, 0.2, None)
    assert opened.config.datamodule.view == "patch"
    assert RunPredictor(opened).grid.cover == "inside"


@pytest.mark.parametrize(("key", "within"), [("datamodule", "augur"), ("net", "depths")])
def test_a_key_that_is_not_known_here_names_the_version_that_made_the_run(run, key, within):
    made_by(run, "0.0.1")
    rewrite(run, lambda config: config[key].update({within: 1}) or config.update({"oracle": 2}))
    with pytest.raises(ConfigError, match=within) as told:
        RunPredictor(load_run(run)).grid  # noqa: B018
    assert "made by pneumo_ad 0.0.1, commit 0a1b2c, and this is" in str(told.value)
    assert "has oracle, not known here" in str(told.value)
    assert "Open it with the version that made it, or train it again" in str(told.value)


def test_a_run_of_a_later_version_opens_where_all_of_it_is_known_and_that_is_said_once(run, caplog):
    made_by(run, "9.9")
    for _ in range(2):
        load_run(run)
    assert caplog.text.count(f"{run} was made by pneumo_ad 9.9, which is later than this one, {__version__}") == 1


LATER = {
    "a key": ("oracle", 2, "oracle is not known here"),
    "a key of a part": ("net.depths", 3, "depths"),
    "a part": ("score", {"_target_": "pneumo_ad.scores.Oracle"}, "score would build pneumo_ad.scores.Oracle"),
}


@pytest.mark.parametrize(
    ("command", "what"),
    [
        ("evaluate", "a key"),
        ("evaluate", "a key of a part"),
        ("evaluate", "a part"),
        ("train", "a key"),
        ("train", "a part"),
    ],
)
def test_what_is_not_known_of_a_later_version_is_said_with_that_version(run, command, what, capfd):
    key, value, words = LATER[what]
    made_by(run, "9.9")
    file = run / ".hydra" / "config.yaml"
    config = OmegaConf.load(file)
    OmegaConf.update(config, key, value, force_add=True, merge=False)
    OmegaConf.save(config, file)
    update_run_json(run, status="interrupted")
    assert start(command, f"run={run}" if command == "evaluate" else f"resume={run}") == 2
    said = " ".join(capfd.readouterr().err.split())
    assert words in said
    assert f"made by pneumo_ad 9.9, commit 0a1b2c, which is later than this one, {__version__}" in said
    assert "Open it with the version that made it" in said


def test_what_a_later_version_began_is_not_trained_on(run, capfd):
    made_by(run, "9.9")
    assert start("train", f"resume={run}") == 0  # finished already
    update_run_json(run, status="interrupted")
    before = (run / "run.json").read_text()
    assert start("train", f"resume={run}") == 2
    said = capfd.readouterr().err
    assert f"{run} was begun by pneumo_ad 9.9, which is later than this one, {__version__}: go on with it by" in said
    assert (run / "run.json").read_text() == before


def test_weights_that_a_default_does_not_fit_are_refused_with_what_is_lacking(run):
    rewrite(run, lambda config: config.pop("net"))
    with pytest.raises(UserError, match="its config lacks net"):
        load_run(run)


def test_no_key_that_is_lacking_ends_in_a_traceback(run, monkeypatch):
    """Every key, and every key of the groups that commands read, taken out one at a time.

    Today's config is composed once, and validation scored once: neither depends on the key.
    """
    phantoms = [option for option in TINY if option.startswith("data.")]
    today, kept = compose_config("train", phantoms), validation_scores(load_run(run), scoring_of(load_run(run)))
    monkeypatch.setattr("pneumo_ad.runs.compose.compose_config", lambda *_: deepcopy(today))
    monkeypatch.setattr(
        "pneumo_ad.prediction.run_predictor.validation_scores", lambda run, _: kept if run.radiographs else None
    )
    saved = OmegaConf.to_container(OmegaConf.load(run / ".hydra" / "config.yaml"))
    groups = ("datamodule", "module", "trainer")
    places = [(key, None) for key in saved] + [
        (key, inner) for key in groups for inner in saved[key] if inner != "_target_"
    ]
    for key, inner in places:
        config = json.loads(json.dumps(saved))
        del (config if inner is None else config[key])[key if inner is None else inner]
        (run / ".hydra" / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(config)))
        with suppress(UserError):
            RunPredictor(load_run(run))
