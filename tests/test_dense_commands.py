"""`scoring=` and `halo=` on the command line."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from drawn import radiograph
from omegaconf import OmegaConf
from PIL import Image
from running import TINY, start

from pneumo_ad.errors import ConfigError
from pneumo_ad.evaluation.deviation import Deviation
from pneumo_ad.runs import load_run

HALO = 12  # what the default net needs beside patches of 8


@pytest.fixture(scope="module")
def runs(shared):
    """The same training without and with a halo, the latter scored densely."""
    monkey = pytest.MonkeyPatch()
    monkey.setenv("PNEUMO_AD_CACHE", str(shared / "cache"))
    asked = [*TINY, "trainer.max_epochs=1", "evaluate=test", "matched=false"]
    assert start("train", *asked, f"hydra.run.dir={shared}/without") == 0
    assert start("train", *asked, f"halo={HALO}", "scoring=dense", f"hydra.run.dir={shared}/halo") == 0
    yield shared
    monkey.undo()


def metrics(folder):
    return json.loads((folder / "metrics.json").read_text())


def test_dense_and_windows_evaluate_alike_with_a_halo(runs, here, tmp_path, capsys):
    dense = metrics(runs / "halo")
    assert dense["dense/spearman"] > 0.9999
    assert dense["dense/largest_difference"] < 1e-4
    assert abs(dense["dense/auroc_in_lung_difference"]) < 1e-3
    assert dense["counts/images_dense_and_windows"] > 0
    assert (dense["about"]["scoring"], dense["about"]["halo"]) == ("dense", HALO)
    assert start("evaluate", f"run={runs}/halo", "scoring=windows", f"output={tmp_path}/out") == 0
    windows = metrics(tmp_path / "out")
    assert "dense/spearman" not in windows
    common = [key for key, value in windows.items() if isinstance(value, float) and "/auroc" in key]
    assert len(common) > 10
    assert all(dense[key] == pytest.approx(windows[key], abs=2e-3) for key in common)
    one, other = (pd.read_csv(folder / "patches.csv") for folder in (runs / "halo", tmp_path / "out"))
    np.testing.assert_allclose(one["score"], other["score"], atol=2e-3)


def test_the_halo_changes_what_is_learnt_and_what_is_scored(runs):
    assert metrics(runs / "halo")["pixel/auroc_in_lung"] != metrics(runs / "without")["pixel/auroc_in_lung"]
    batch = next(iter(load_run(runs / "halo").datamodule.train_dataloader()))
    assert batch["patch"].shape[-2:] == (8 + 2 * HALO, 8 + 2 * HALO)


def test_dense_maps_that_are_too_far_from_windows_are_refused(runs, here, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("pneumo_ad.evaluation.deviation.LEAST_SPEARMAN", 0.99999)  # no net learns much in a second
    before = sorted(runs.rglob("*"))
    assert start("evaluate", f"run={runs}/without", "scoring=dense", f"output={tmp_path}/out") == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "scoring=dense does not suit this run with halo=0" in said
    assert "Spearman 0." in said
    assert f"what works: halo={HALO}, which makes both the same, or scoring=windows" in said
    assert sorted(runs.rglob("*")) == before
    assert not (tmp_path / "out").exists()


def test_a_halo_may_come_after_training(runs, here, tmp_path, capsys):
    asked = ["scoring=dense", f"halo={HALO}", f"output={tmp_path}/out"]
    assert start("evaluate", f"run={runs}/without", *asked) == 0
    assert metrics(tmp_path / "out")["dense/largest_difference"] < 1e-4
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
    assert (run.datamodule.halo, run.module.halo, load_run(tmp_path / "old").datamodule.halo) == (HALO, HALO, 0)


def test_predict_takes_both_ways_and_says_how_far_they_are_apart(runs, here, tmp_path, monkeypatch):
    (tmp_path / "files").mkdir()
    for number in range(3):
        Image.fromarray(radiograph(number, sick=number > 0)).save(tmp_path / "files" / f"{number}.png")
    found = {}
    for mode in ("dense", "windows"):
        asked = [f"input={tmp_path}/files", f"output={tmp_path}/{mode}", "report=true", f"scoring={mode}"]
        assert start("predict", f"run={runs}/halo", *asked) == 0
        found[mode] = pd.read_csv(tmp_path / mode / "predictions.csv")
        notes = json.loads((tmp_path / mode / "predict.json").read_text())["notes"]
        assert any("Spearman 1.0000" in note for note in notes) == (mode == "dense")
    np.testing.assert_allclose(found["dense"]["score"], found["windows"]["score"], atol=1e-3)
    monkeypatch.setattr("pneumo_ad.evaluation.deviation.LEAST_SPEARMAN", 0.99999)
    asked = [f"input={tmp_path}/files", f"output={tmp_path}/refused", "scoring=dense", "halo=0"]
    assert start("predict", f"run={runs}/halo", *asked) == 2


def test_every_command_knows_the_halo(runs, here, tmp_path, capsys):
    assert start("figures", f"run={runs}/halo", "classifier=none", "only=6,7", f"output={tmp_path}/figures") == 0
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
    "net=vae scoring=dense": "VAE takes pictures of 8 x 8 pixels and no larger ones; scoring=windows scores with it",
    "net=vae halo=8": "which VAE does not take; the nearest that works: halo=0",
    "experiment=opacity_detector module.warm_start=false halo=8": "halo=8 has no effect with view=image",
}


@pytest.mark.parametrize("asked", REFUSED)
def test_what_cannot_be_is_refused_before_anything_is_decoded(asked, here, tmp_path, capsys):
    assert start("train", *TINY, *asked.split(), f"hydra.run.dir={tmp_path}/run") == 2
    assert REFUSED[asked] in words(capsys)
    assert not list(tmp_path.rglob("*.ckpt"))


def test_far_maps_are_refused_by_either_figure():
    near = Deviation(0.99, 0.1, 0.005, images=6, halo=0, needed=12)
    near.check()
    for figure in ({"spearman": 0.97}, {"auroc": -0.02}):
        with pytest.raises(ConfigError, match="what works: halo=12"):
            replace(near, **figure).check()


def test_blank_radiographs_tell_nothing_and_refuse_nothing():
    blank = Deviation(float("nan"), 0.1, None, images=2, halo=0, needed=12)
    blank.check()
    assert not blank.told
    assert "dense/spearman" not in blank.metrics()
