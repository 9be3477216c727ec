"""What a researcher calls from Python: typed functions that return tables and arrays, and raise one class of errors."""

import inspect
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image
from running import TINY, start
from sklearn.metrics import roc_auc_score

import pneumo_ad
from pneumo_ad import cli, compare, evaluate, load_run, predict, start_run
from pneumo_ad.errors import ConfigError, DataError, UserError
from pneumo_ad.evaluation import Evaluation
from pneumo_ad.metrics.metrics_json import read_metrics
from pneumo_ad.prediction import read_map

DOORS = [evaluate, predict, compare]
SMALL = [one for one in TINY if not one.startswith("evaluate=")]

pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture(scope="module")
def trained(shared):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PNEUMO_AD_CACHE", str(shared / "cache"))
        patch.setattr("pneumo_ad.evaluation.evaluate.draw_evaluation", lambda *_: None)
        return start_run(shared / "runs" / "a", SMALL)


@pytest.fixture
def run(trained, tmp_path, undrawn):
    """A copy of the run, opened, in the working folder."""
    shutil.copytree(trained.folder, "runs/a")
    return load_run("runs/a")


@pytest.fixture
def scans(trained, tmp_path):
    folder = tmp_path / "scans"
    folder.mkdir()
    for path in trained.radiographs.table["path"][:3]:
        shutil.copy(path, folder)
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return folder


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
def test_a_function_has_a_parameter_for_each_key_of_its_command_and_none_is_hidden(door):
    command = cli.command_of(door.__name__)
    parameters = inspect.signature(door).parameters
    keys = {key.name for key in command.keys} | {"overrides", command.name[0]} - {""}
    assert set(parameters) == keys
    assert not {one.kind for one in parameters.values()} & {
        inspect.Parameter.VAR_KEYWORD,
        inspect.Parameter.VAR_POSITIONAL,
    }
    required = {name for name, one in parameters.items() if one.default is inspect.Parameter.empty}
    assert required == {key.name for key in command.keys if key.missing} | {command.name[0]} - {""}
    assert all(one.annotation is not inspect.Parameter.empty for one in parameters.values())
    assert all(f"        {name}: " in door.__doc__ for name in parameters)


def test_every_command_with_a_typed_function_fits_it():
    typed = [name for name in cli.command_names() if cli.command_of(name).call]
    assert {"evaluate", "predict", "compare", "report", "figures", "cluster", "audit", "export"} <= set(typed)
    for name in typed:
        command = cli.command_of(name)
        assert {key.name for key in command.keys} <= set(inspect.signature(command.call).parameters), name


def test_the_package_is_quick_to_import_and_its_doors_are_completed():
    code = "import sys, pneumo_ad; print(*dir(pneumo_ad)); print('torch' in sys.modules, 'pandas' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    assert set(pneumo_ad.__all__) <= set(said[0].split())
    assert said[1] == "False False"


def test_an_editor_completes_keywords(run):
    completer = pytest.importorskip("IPython.core.completer")
    with completer.provisionalcompleter():
        found = completer.IPCompleter(namespace={"evaluate": evaluate, "run": run}).completions("evaluate(run, sub", 17)
        assert "subset=" in {one.text for one in found}
        found = completer.IPCompleter(namespace={"run": run}).completions("run.his", 7)
        assert {one.text.rpartition(".")[2] for one in found} >= {"history"}


def test_a_training_prints_nothing_unless_asked_and_its_history_is_a_table(tmp_path, capsys, undrawn):
    small = dict(one.split("=") for one in SMALL)
    run = start_run(tmp_path / "run", small | {"trainer.max_epochs": 3})
    assert capsys.readouterr().out == ""
    history = run.history
    assert history["epoch"].tolist() == [1, 2, 3]
    assert history["step"].tolist() == [4, 8, 12]
    logged = pd.read_csv(next(run.folder.glob("csv/*/metrics.csv")))
    for key, column in (("val/loss", "val/loss"), ("train/loss", "train/loss_epoch"), ("train/sad", "train/sad")):
        assert history[key].to_numpy() == pytest.approx(logged[column].dropna().to_numpy(), rel=1e-5)
    start_run(tmp_path / "run", run_of(run), show=True)
    assert "AUROC" in capsys.readouterr().out


def run_of(run):
    """The overrides that a run was started with."""
    return yaml.safe_load((run.folder / ".hydra" / "overrides.yaml").read_text())


def test_a_run_trained_longer_keeps_its_history(tmp_path, undrawn):
    plain = [one for one in TINY if "epochs" not in one]
    whole = start_run(tmp_path / "whole", [*plain, "trainer.max_epochs=3"]).history
    start_run(tmp_path / "parts", [*plain, "trainer.max_epochs=2"])
    assert start("train", f"resume={tmp_path / 'parts'}", "trainer.max_epochs=3") == 0
    pd.testing.assert_frame_equal(load_run(tmp_path / "parts").history, whole)


def test_a_run_of_before_says_where_its_history_is(run):
    (run.folder / "history.csv").unlink()
    with pytest.raises(DataError, match=r"history\.csv: not there; runs keep their history since 0\.2\.0"):
        _ = run.history


def test_an_evaluation_is_its_tables(run, capsys):
    found = evaluate(run, {"stride": 16}, report=True)
    assert capsys.readouterr().out == ""
    assert found.folder.parent == run.folder / "evaluations"
    assert dict(found.metrics) == {key: one for key, one in read_metrics(found.folder).items() if key != "about"}
    labelled = found.images[found.images["label"].isin(["normal", "pneumonia"])]
    assert found.metrics["image/auroc"] == pytest.approx(
        roc_auc_score(labelled["label"] == "pneumonia", labelled["score"])
    )
    healthy = found.patches.loc[found.patches["kind_true"] == "healthy", "score"]
    assert found.kinds.loc["healthy", ["windows", "mean", "median"]].tolist() == pytest.approx(
        [len(healthy), healthy.mean(), healthy.median()]
    )
    assert found.kinds["windows"].sum() == found.patches["kind_true"].isin(found.kinds.index).sum()
    assert str(found.images["anomalous"].dtype) == "boolean"
    headline = found.metrics.headline
    assert headline.loc["image/auroc", ["value", "low"]].tolist() == [
        found.metrics["image/auroc"],
        found.metrics["image/auroc_low"],
    ]
    assert headline["metric"].is_unique
    assert all(anomaly.shape == (128, 128) for anomaly in found.maps.values())
    assert set(found.maps) <= set(found.images["image"])
    assert found.report == found.folder / "report.html"
    assert Evaluation(run).report is None


def test_an_evaluation_is_opened_from_its_folder_or_run_and_says_where_there_is_one(run, tmp_path):
    assert Evaluation("runs/a").metrics == Evaluation(run).metrics
    with pytest.raises(DataError, match=r"no evaluation \(metrics\.json\); pneumo_ad\.evaluate makes one$"):
        Evaluation(tmp_path)
    found = Evaluation(run)
    with pytest.raises(KeyError, match=r"image/auroq is no metric of this evaluation; did you mean image/auroc\?"):
        found.metrics["image/auroq"]
    key, reason = next(iter(found.metrics.omitted.items()))
    with pytest.raises(KeyError, match="was left out: ") as told:
        found.metrics[key]
    assert reason in str(told.value)


def test_a_path_and_an_opened_run_are_the_same_and_further_overrides_are_added(run):
    opened = load_run(run.folder, ["stride=16"])
    by_run, by_path = evaluate(opened), evaluate("runs/a", "stride=16")
    assert by_run.folder == by_path.folder
    assert by_run.metrics == by_path.metrics
    both = evaluate(opened, {"score": "sad_contrast"}, output="both")
    assert both.metrics.about["overrides"] == ["stride=16", "score=sad_contrast"]
    last = load_run(run.folder, checkpoint="last")
    assert evaluate(last).metrics.about["checkpoint"] == "checkpoints/last.ckpt"
    assert "checkpoint=last" in evaluate(last).folder.name
    assert start("evaluate", "run=runs/a", "checkpoint=last", "output=typed") == 0
    assert Evaluation("typed").metrics == evaluate(last).metrics


def test_a_prediction_is_its_tables_and_maps(run, scans, capsys):
    found = predict(scans, "judged", run, maps="npy", report=True)
    assert capsys.readouterr().out == ""
    assert (len(found.predictions), len(found.failed), found.new) == (3, 1, 4)
    assert found.failed["file"].tolist() == ["broken.png"]
    assert str(found.predictions["anomalous"].dtype) == "boolean"
    assert list(found.maps) == found.predictions["file"].tolist()
    for row in found.predictions.itertuples():
        heat = found.maps[row.file]
        assert np.array_equal(heat, read_map(found.folder / row.map), equal_nan=True)
        assert heat.ndim == 2
        assert np.nanmax(heat) == pytest.approx(row.map_high, rel=1e-4)
        assert Image.open(scans / row.file).size == (row.width, row.height)
    with pytest.raises(KeyError, match=r"broken\.png has no map"):
        found.maps["broken.png"]
    assert found.report == found.folder / "report.html"
    again = predict(scans, "judged", "runs/a", maps="npy")
    assert again.new == 0
    pd.testing.assert_frame_equal(again.predictions, found.predictions)


def test_an_interrupt_stays_one(run, scans, monkeypatch):
    monkeypatch.setattr("pneumo_ad.prediction.predict.outcomes", interrupted)
    with pytest.raises(KeyboardInterrupt):
        predict(scans, "judged", run)
    assert start("predict", "run=runs/a", f"input={scans}", "output=judged") == 130


def interrupted(*_):
    raise KeyboardInterrupt
    yield


def test_runs_are_compared_by_folder_or_as_they_are_opened(run, undrawn):
    other = start_run("runs/b", [*(one for one in SMALL if "net.width" not in one), "net.width=2"])
    found = compare("runs", sort="image/auroc", reference="net.width=4")
    board = found.leaderboard
    assert board["runs"].tolist() == [1, 1]
    assert board["image/auroc"].is_monotonic_decreasing
    by_width = board.set_index("net.width")
    assert np.isnan(by_width.loc["4", "difference"])
    assert by_width.loc["2", "difference"] == pytest.approx(
        by_width.loc["2", "image/auroc"] - by_width.loc["4", "image/auroc"]
    )
    assert (
        by_width.loc["2", "difference_low"] <= by_width.loc["2", "difference"] <= by_width.loc["2", "difference_high"]
    )
    written = pd.read_csv(found.folder / "groups.csv", dtype={"net.width": str})
    pd.testing.assert_frame_equal(written, board.astype(written.dtypes.to_dict()), rtol=1e-5)
    assert found.failed.empty
    these = compare([run, other], sort="image/auroc", reference="net.width=4")
    assert these.leaderboard["image/auroc"].tolist() == board["image/auroc"].tolist()
    assert these.folder != found.folder
    with pytest.raises(ConfigError, match="two runs or more must be given to compare, got 1"):
        compare([run])
    with pytest.raises(ConfigError, match="was opened with stride=16; give compare what holds for all runs"):
        compare([load_run("runs/a", "stride=16"), other])


def test_what_a_notebook_shows(run, scans):
    judged = predict(scans, "judged", run, overlays=False)
    compared = compare("runs")
    for shown, words in (
        (run, ["Run('runs/a')", "UNetAutoencoder", "patches of 8"]),
        (Evaluation(run), ["Evaluation('runs/a')", "image AUROC pneumonia / normal", "verdict"]),
        (judged, ["Predicted('judged')", "3 files; 4 were read", "1 unreadable"]),
        (compared, ["Comparison('runs')", "1 measured of 1"]),
    ):
        text, html = repr(shown), shown._repr_html_()
        assert all(word in text for word in words)
        assert html.count("<div>") == html.count("</div>") == 1
        assert all(word in html for word in words[1:])
        assert max(map(len, text.splitlines())) < 200
    assert "<script" not in judged._repr_html_()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: evaluate("runs/a", strid=4), r"strid=4 is not known; did you mean stride=4\?"),
        (lambda: evaluate("runs/a", stride=4), r"stride=4 is an override: evaluate\(\.\.\., overrides="),
        (lambda: evaluate("runs/a", ["strid=4"]), r"strid=4 is not known; did you mean stride=4\?"),
        (lambda: evaluate("runs/a", "stride"), "stride is no override; expected KEY=VALUE"),
        (lambda: evaluate(["run=runs/a", "stride=4"]), "a list; expected one value, run=RUN; overrides are"),
        (lambda: evaluate(["stride=4"], run="runs/a"), "multiple values for argument 'run'; it takes run, overrides"),
        (lambda: evaluate("runs/a", subset="tset"), "subset=tset is not known; expected train, val, test or all"),
        (lambda: evaluate("runs/a", report="perhaps"), "report=perhaps is not known; expected true or false"),
        (lambda: evaluate(object()), "expected the folder of a run, or an opened run"),
        (lambda: evaluate("runs/b"), "runs/b: not a run folder"),
        (lambda: predict("scans"), r"output=\.\.\. must be given: a folder to write to"),
        (lambda: predict(output="out"), r"input=\.\.\. must be given: a file or a folder"),
        (lambda: predict("scans", "out", maps="jpg"), "maps=jpg is not known; expected png, npy or none"),
        (lambda: predict("nowhere", "out"), "input=nowhere: no such file or folder"),
        (lambda: compare(), "one folder of runs must be given, got none"),
        (lambda: compare("nowhere"), "nowhere: no such folder"),
        (lambda: start_run("runs/c", ["patch=10", "strid=4"]), r"strid=4 is not known; did you mean stride=4\?"),
        (lambda: load_run("runs/a", {"strid": 4}), r"strid=4 is not known; did you mean stride=4\?"),
    ],
)  # fmt: skip
def test_errors_are_those_of_the_command_line(call, words, run):
    with pytest.raises(UserError, match=words):
        call()


def test_scores_of_ones_own_tensors_do_not_depend_on_batches_and_leave_the_module_as_it_was(trained):
    module = trained.module.train()
    patches = torch.rand(10, 1, 8, 8)
    scores = module.scores(patches, batch_size=3)
    assert module.training
    with torch.inference_mode():
        by_hand = (module.eval()(patches).reconstruction - patches).abs().mean(dim=(1, 2, 3)) * 255
    assert scores.shape == (10,)
    assert torch.allclose(scores, by_hand, rtol=1e-4)
    assert torch.equal(module.scores((patches * 255).byte()), module.scores((patches * 255).byte().float() / 255))
    with pytest.raises(
        ConfigError, match=r"a batch is a dict with \"patch\".*got \"patch\": a tensor \(10, 8, 8\) float32"
    ):
        module.scores(patches[:, 0])


def test_twenty_lines_of_lightning_find_what_was_planted(capsys):
    """The block of docs/lightning.md, as it stands there."""
    page = (Path(__file__).parents[2] / "docs" / "lightning.md").read_text()
    block = re.search(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)[1]
    assert len([line for line in block.splitlines() if line]) <= 20
    assert not re.search("hydra|omegaconf|run_dir|store", block)
    torch.manual_seed(0)
    exec(compile(block, "docs/lightning.md", "exec"), {})
    found = re.search(r"^AUROC ([\d.]+), validation loss ([\d.]+)$", capsys.readouterr().out, re.MULTILINE)
    assert float(found[1]) > 0.9
    assert float(found[2]) < 0.1
