"""The options of an evaluation: what each field says of itself is what happens."""

import json
import shutil
from dataclasses import asdict, fields, replace

import pytest
from running import TINY, start

from pneumo_ad.errors import ConfigError
from pneumo_ad.prediction.opening import CHANGEABLE
from pneumo_ad.prediction.run_predictor import RunPredictor
from pneumo_ad.runs.calibration import validation_scores
from pneumo_ad.runs.compose import compose_config
from pneumo_ad.runs.evaluation_options import KEYS, EvaluationOptions, keys_that_may_change, option_help, option_names
from pneumo_ad.runs.run import load_run
from pneumo_ad.runs.scorer import scoring_of

# A value beside the default for each option that may change after training.
OTHER = {
    "score": "brightness",
    "aggregate": "max",
    "threshold": "quantiles",
    "false_alarm_rate": "0.2",
    "precision": "bf16-mixed",
    "relative": "0.2",
    "map_of": "residual",
    "lungs": "segmenter",
    "intensity": "lung_field",
    "image_size": "72",
    "fit": "pad",
    "patch": "16",
    "stride": "16",
    "cover": "full",
    "scoring": "dense",
    "halo": "8",
    "kept_windows": "null",
    "matched": "true",
    "batch_size": "7",
    "compile": "true",
}
BESIDE = {"cover": ["stride=12"], "scoring": ["halo=12"]}  # without which the value changes nothing or is refused
TOLD = {one.name: one.metadata for one in fields(EvaluationOptions)}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("options")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PNEUMO_AD_CACHE", str(folder / "cache"))
        assert start("train", *TINY, "trainer.max_epochs=1", "net.depth=1", f"hydra.run.dir={folder / 'run'}") == 0
    return folder


@pytest.fixture
def run(trained, monkeypatch, tmp_path):
    monkeypatch.setenv("PNEUMO_AD_CACHE", str(trained / "cache"))
    shutil.copytree(trained / "run", tmp_path / "run")
    return tmp_path / "run"


def test_every_option_but_those_fixed_has_another_value():
    assert OTHER.keys() == {name for name, told in TOLD.items() if not told["fixed"]}


def test_the_node_holds_every_option_and_nothing_else():
    config = compose_config("train")
    assert dict(config.evaluation.items()).keys() == TOLD.keys()
    assert EvaluationOptions.of(config) == EvaluationOptions.of(compose_config("train", ["name=other", "seed=3"]))
    assert EvaluationOptions.of(config).stride == config.stride


def changed(name):
    """Overrides that set an option to another value, and those without it."""
    beside = BESIDE.get(name, [])
    return beside, [*beside, f"{KEYS[name]}={OTHER[name]}"]


@pytest.mark.parametrize("name", OTHER)
def test_a_value_set_at_its_key_is_that_of_the_option_and_of_no_other(name):
    before, after = (EvaluationOptions.of(compose_config("train", words)) for words in changed(name))
    differing = {key for key, value in asdict(before).items() if asdict(after)[key] != value}
    assert differing == {name}


def kept(run, overrides):
    """Name of the file that validation scores are kept in."""
    before = set((run / "validation_scores").glob("*")) if (run / "validation_scores").is_dir() else set()
    opened = load_run(run, overrides)
    validation_scores(opened, scoring_of(opened))
    (new,) = set((run / "validation_scores").glob("*")) - before
    new.unlink()
    return new.name


@pytest.mark.parametrize("name", [name for name in OTHER if name != "compile"])
def test_kept_scores_are_told_apart_by_what_changes_scores(run, name):
    without, with_it = (kept(run, words) for words in changed(name))
    assert (without != with_it) == (TOLD[name]["changes"] == "scores")


@pytest.mark.parametrize("name", [name for name in OTHER if TOLD[name]["changes"] != "tables" and name != "compile"])
def test_predictions_are_told_apart_by_what_changes_scores_or_decisions(run, name):
    without, with_it = (RunPredictor(load_run(run, words)).identity for words in changed(name))
    assert (without != with_it) == (TOLD[name]["changes"] in ("scores", "decisions"))


def test_predict_takes_all_but_what_is_fixed_or_of_tables():
    options = {KEYS[name].split(".")[0] for name in OTHER}
    assert set(CHANGEABLE) == options - {"kept_windows", "matched"} | {"hydra", "vocabulary"}


def test_the_help_names_every_option_that_may_change_once():
    named = [line.split("=")[0].strip() for line in option_help().splitlines() if line[2] != " "]
    assert sorted(named) == sorted(keys_that_may_change())
    assert "matched" not in option_help("scores", "decisions", "speed")


def test_what_is_fixed_cannot_change(run):
    assert "view" not in keys_that_may_change()
    with pytest.raises(ConfigError, match="view cannot change after training"):
        load_run(run, ["view=image"])


@pytest.mark.parametrize(
    ("key", "instead"),
    [("stride", "stride=4"), ("batch_size", "eval_batch_size=4"), ("strid", "its options are score,")],
)
def test_a_value_is_set_at_its_own_key_alone(key, instead):
    add = "+" if key == "strid" else ""
    with pytest.raises(ConfigError, match=f"evaluation.{key}=4 sets nothing; {instead}"):
        EvaluationOptions.of(compose_config("train", [f"{add}evaluation.{key}=4"]))


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("scoring", "densely", "scoring=densely is not known; expected windows or dense"),
        ("map_of", "scores", "map_of=scores is not known; expected score or residual"),
        ("relative", 0, "relative=0 must be a quantile in"),
        ("relative", "half", "relative=half must be a quantile in"),
        ("false_alarm_rate", 1, "false_alarm_rate=1 must lie between 0 and 1"),
        ("false_alarm_rate", True, "false_alarm_rate=True must lie between 0 and 1"),
        ("kept_windows", 2.5, "kept_windows=2.5 must be a whole number"),
        ("batch_size", 0, "eval_batch_size=0 must be a whole number of windows, at least 1, or null"),
        ("compile", "maybe", "compile=maybe is not known; expected true or false"),
        ("matched", 1, "matched=1 is not known; expected true or false"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_its_key(name, value, words):
    with pytest.raises(ConfigError, match=words):
        replace(EvaluationOptions.of(compose_config("train")), **{name: value})


def test_an_evaluation_records_its_options(run, tmp_path):
    assert (
        start("evaluate", f"run={run}", "stride=16", "trainer.precision=bf16-mixed", f"output={tmp_path / 'out'}") == 0
    )
    recorded = json.loads((tmp_path / "out" / "metrics.json").read_text())["about"]["options"]
    assert recorded.keys() == TOLD.keys() == set(option_names())
    assert (recorded["stride"], recorded["precision"], recorded["patch"]) == (16, "bfloat16", 8)
    assert recorded["score"]["_target_"] == "pneumo_ad.scores.SAD"


@pytest.mark.parametrize("words", ["evaluation=null", "evaluation=5", "~evaluation", "~evaluation.halo"])
def test_a_node_that_is_none_or_lacks_an_option_is_told(words):
    with pytest.raises(ConfigError, match=r"^evaluation"):
        EvaluationOptions.of(compose_config("train", [words]))


def test_a_run_of_fewer_options_opens(run):
    file = run / ".hydra" / "config.yaml"
    text = file.read_text()
    file.write_text(text.replace("  halo: ${halo}\n  kept_windows", "  kept_windows"))
    assert file.read_text() != text
    assert load_run(run).options.halo == 0
