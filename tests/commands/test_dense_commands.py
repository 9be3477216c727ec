"""`scoring=` and `halo=` on the command line."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from drawn import radiograph
from omegaconf import OmegaConf
from PIL import Image
from running import TINY, start, story, weights

from pneumo_ad.runs.run import load_run

HALO = 12  # what the default net needs beside patches of 8
TOLD = (
    "scoring=dense with halo=0 does not score what windows do: UNetAutoencoder sees 11 pixels around a patch; "
    f"what works: halo={HALO}, with which both are the same, or scoring=windows"
)


@pytest.fixture(scope="module")
def runs(shared):
    """The same training without and with a halo, the latter scored densely."""
    monkey = pytest.MonkeyPatch()
    monkey.setenv("PNEUMO_AD_CACHE", str(shared / "cache"))
    asked = [*TINY, "trainer.max_epochs=1", "evaluate=test"]
    assert start("train", *asked, f"hydra.run.dir={shared}/without") == 0
    assert start("train", *asked, f"halo={HALO}", "scoring=dense", f"hydra.run.dir={shared}/halo") == 0
    yield shared
    monkey.undo()


def metrics(folder):
    return json.loads((folder / "metrics.json").read_text())


def test_dense_and_windows_evaluate_alike_with_a_halo(runs, here, tmp_path, capsys):
    dense = metrics(runs / "halo")
    assert (dense["about"]["options"]["scoring"], dense["about"]["options"]["halo"]) == ("dense", HALO)
    assert start("evaluate", f"run={runs}/halo", "scoring=windows", f"output={tmp_path}/out") == 0
    windows = metrics(tmp_path / "out")
    assert dense.keys() == windows.keys()
    common = [key for key, value in windows.items() if isinstance(value, float) and "/auroc" in key]
    assert len(common) > 10
    assert all(dense[key] == pytest.approx(windows[key], abs=2e-3) for key in common)
    one, other = (pd.read_csv(folder / "patches.csv") for folder in (runs / "halo", tmp_path / "out"))
    np.testing.assert_allclose(one["score"], other["score"], atol=2e-3)


def test_the_halo_changes_what_is_learnt_and_what_is_scored(runs):
    assert metrics(runs / "halo")["pixel/auroc_in_lung"] != metrics(runs / "without")["pixel/auroc_in_lung"]
    batch = next(iter(load_run(runs / "halo").datamodule.train_dataloader()))
    assert batch["patch"].shape[-2:] == (8 + 2 * HALO, 8 + 2 * HALO)


@pytest.fixture
def files(tmp_path):
    (tmp_path / "files").mkdir()
    for number in range(3):
        Image.fromarray(radiograph(number, sick=number > 0)).save(tmp_path / "files" / f"{number}.png")
    return tmp_path / "files"


COMMANDS = ("evaluate", "report", "figures", "cluster", "predict")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("old", [False, True])
def test_what_would_not_be_exact_is_refused_before_anything_is_decoded(
    command, old, runs, aged, here, files, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("PNEUMO_AD_CACHE", str(tmp_path / "empty"))
    run, asked = (aged, []) if old else (runs / "without", ["scoring=dense"])
    before = sorted(run.rglob("*"))
    asked += [f"input={files}"] if command == "predict" else []
    asked += [f"output={tmp_path}/out{'.html' if command == 'report' else ''}"]
    assert start(command, f"run={run}", *asked) == 2
    said = words(capsys)
    assert f"error: {run}: {TOLD}" in said
    assert "version" not in said
    assert sorted(run.rglob("*")) == before
    assert not list(tmp_path.glob("out*/*"))
    assert not list((tmp_path / "empty").rglob("*.npy"))


@pytest.fixture
def aged(runs, tmp_path):
    """A run saved with dense scores without a halo, by a version that approximated them."""
    folder = tmp_path / "aged"
    shutil.copytree(runs / "without", folder)
    file = folder / ".hydra" / "config.yaml"
    file.write_text(file.read_text().replace("scoring: windows", "scoring: dense"))
    (folder / "run.json").write_text(json.dumps(story(folder) | {"pneumo_ad": "0.0.1"}))
    return folder


@pytest.mark.parametrize("override", ["scoring=windows", f"halo={HALO}"])
def test_what_an_old_run_is_told_works(override, runs, aged, here, files, tmp_path):
    assert start("evaluate", f"run={aged}", override, f"output={tmp_path}/out") == 0
    assert start("predict", f"run={aged}", override, f"input={files}", f"output={tmp_path}/predicted") == 0
    if override == "scoring=windows":
        found, expected = metrics(tmp_path / "out"), metrics(runs / "without")
        assert {**found, "about": 0} == {**expected, "about": 0}


def test_a_sweep_tells_of_an_old_run_that_cannot_be_evaluated_and_goes_on(runs, aged, here, tmp_path, capsys):
    for place, run in (("0", runs / "without"), ("1", aged)):
        shutil.copytree(run, tmp_path / "sweep" / place)
    (tmp_path / "sweep" / "1" / "metrics.json").unlink()
    assert start("compare", tmp_path / "sweep") == 0
    assert TOLD in " ".join(capsys.readouterr().out.split())


def test_an_old_run_that_was_stopped_is_trained_to_its_end(runs, aged, here, capsys):
    (aged / "metrics.json").unlink()
    (aged / "run.json").write_text(json.dumps(story(aged) | {"status": "interrupted"}))
    config, overrides = (aged / ".hydra" / name for name in ("config.yaml", "overrides.yaml"))
    config.write_text(config.read_text().replace("max_epochs: 1", "max_epochs: 2"))
    overrides.write_text(overrides.read_text() + "- trainer.max_epochs=2\n- scoring=dense\n")
    assert start("train", f"resume={aged}") == 2
    assert TOLD in words(capsys)
    assert story(aged)["epochs"] == 2
    assert weights(aged)["last.ckpt"] != weights(runs / "without")["last.ckpt"]
    assert not (aged / "metrics.json").exists()
    assert TOLD in story(aged)["reason"]


def test_a_halo_may_come_after_training(runs, here, tmp_path, capsys):
    asked = ["scoring=dense", f"halo={HALO}", f"output={tmp_path}/out"]
    assert start("evaluate", f"run={runs}/without", *asked) == 0
    assert start("evaluate", f"run={runs}/without", f"halo={HALO}", f"output={tmp_path}/windows") == 0
    dense, windows = (metrics(tmp_path / name) for name in ("out", "windows"))
    assert dense["pixel/auroc_in_lung"] == pytest.approx(windows["pixel/auroc_in_lung"], abs=1e-4)
    for mode in ("dense", "windows"):
        assert start("evaluate", f"run={runs}/without", f"scoring={mode}", "halo=13", f"output={tmp_path}/no") == 2
        assert "the nearest that works: halo=12 or halo=14" in words(capsys)


def test_a_run_of_an_older_version_takes_a_halo_too(runs, here, tmp_path):
    shutil.copytree(runs / "without", tmp_path / "old")
    file = tmp_path / "old" / ".hydra" / "config.yaml"
    config = OmegaConf.to_container(OmegaConf.load(file))
    del config["halo"], config["scoring"], config["datamodule"]["halo"], config["module"]["halo"]
    file.write_text(OmegaConf.to_yaml(OmegaConf.create(config)))
    run = load_run(tmp_path / "old", [f"halo={HALO}"])
    assert (run.radiographs.halo, run.module.halo, load_run(tmp_path / "old").radiographs.halo) == (HALO, HALO, 0)


def test_predict_takes_both_ways(runs, here, files, tmp_path):
    found = {}
    for mode in ("dense", "windows"):
        asked = [f"input={files}", f"output={tmp_path}/{mode}", "report=true", f"scoring={mode}"]
        assert start("predict", f"run={runs}/halo", *asked) == 0
        found[mode] = pd.read_csv(tmp_path / mode / "predictions.csv")
    np.testing.assert_allclose(found["dense"]["score"], found["windows"]["score"], atol=1e-3)


def test_every_command_knows_the_halo(runs, here, tmp_path, capsys):
    assert start("figures", f"run={runs}/halo", "only=6,7", f"output={tmp_path}/figures") == 0
    numbers = pd.read_csv(next((tmp_path / "figures").glob("fig06*.csv")))
    assert (numbers.loc[0, "height"], numbers.loc[0, "width"]) == (8 + 2 * HALO, 8 + 2 * HALO)
    assert start("report", f"run={runs}/halo", f"output={tmp_path}/report.html", "images=2") == 0
    assert start("cluster", f"run={runs}/halo", f"output={tmp_path}/clusters") == 0
    capsys.readouterr()
    assert start("export", f"run={runs}/halo", f"output={tmp_path}/model") == 2
    assert "scoring=dense, which no graph holds; scoring=windows can be exported" in words(capsys)
    assert start("export", f"run={runs}/halo", "scoring=windows", f"output={tmp_path}/model") == 2
    assert f"halo={HALO} pixels around each window, which no graph holds" in words(capsys)


def words(capsys):
    return " ".join(capsys.readouterr().err.split())


REFUSED = {
    "scoring=fast": "scoring=fast is not known; expected windows or dense",
    "halo=64": "halo=64 cannot be mirrored at the border of images of 64 x 64 pixels; the largest that works is "
    "halo=63",
    "halo=-1": "halo=-1 must be 0 or more pixels",
    "halo=13": "halo=13 makes patches of 8 pixels 34 wide, which UNetAutoencoder does not take; the nearest that "
    "works: halo=12 or halo=14",
    "scoring=dense": TOLD,
    "scoring=dense halo=10": TOLD.replace("halo=0", "halo=10"),
    "net.depth=3 image_size=16 scoring=dense": "around a patch; what works: scoring=windows",
    "net=vae scoring=dense": "VAE takes pictures of 8 x 8 pixels and no larger ones; scoring=windows scores with it",
    "net=vae halo=8": "which VAE does not take; the nearest that works: halo=0",
    "experiment=opacity_detector module.warm_start=false halo=8": "halo=8 has no effect with view=image",
}


@pytest.mark.parametrize("asked", REFUSED)
def test_what_cannot_be_is_refused_before_anything_is_decoded(asked, here, tmp_path, capsys):
    assert start("train", *TINY, *asked.split(), f"hydra.run.dir={tmp_path}/run") == 2
    assert REFUSED[asked] in words(capsys)
    assert not list(tmp_path.rglob("*.ckpt"))
