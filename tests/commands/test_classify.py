"""`pneumo-ad classify` end to end on tiny phantoms."""

import os
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf
from PIL import Image
from running import start, story, times, weights
from sklearn.metrics import accuracy_score, balanced_accuracy_score, roc_auc_score

from pneumo_ad import figures
from pneumo_ad.classifier.examination import measure_classifier
from pneumo_ad.errors import DataError
from pneumo_ad.labels import NORMAL, PNEUMONIA
from pneumo_ad.metrics.metrics_json import read_metrics
from pneumo_ad.runs.arguments import choices
from pneumo_ad.runs.classifying import classifier_beside, load_classifier
from pneumo_ad.runs.compose import build, build_all, compose_config

DATA = ["data.normal=24", "data.pneumonia=20", "data.size=96", "image_size=64"]
TINY = [*DATA, "net.widths=[2,4,8]", "net.hidden=16", "trainer=cpu", "callbacks.progress=null", "logger=csv"]


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A run of two epochs, its cache and what it printed."""
    folder = tmp_path_factory.mktemp("classified")
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as out:
        patch.setattr(sys, "argv", sys.argv)
        patch.setenv("PNEUMO_AD_CACHE", str(folder / "cache"))
        assert start("classify", *TINY, "trainer.max_epochs=2", "seed=3", f"hydra.run.dir={folder / 'run'}") == 0
    return folder / "run", folder / "cache", out.getvalue()


@pytest.fixture
def run(ran, monkeypatch, tmp_path):
    monkeypatch.setenv("PNEUMO_AD_CACHE", str(ran[1]))
    monkeypatch.chdir(tmp_path)
    return ran[0]


def metrics_of(folder):
    return read_metrics(folder)


def test_a_run_folder_tells_its_story(ran):
    run, _, out = ran
    told = story(run)
    assert told["status"] == "finished"
    assert (told["seed"], told["epochs"]) == (3, 2)
    assert {"command", "commit", "torch", "device", "store", "parameters", "seconds_training"} <= set(told)
    assert told["class_weights"][1] > told["class_weights"][0]  # 20 pneumonia to 24 normal: pneumonia is the rarer
    assert set(weights(run)) == {"best.ckpt", "last.ckpt"}  # loads with weights_only
    split = pd.read_csv(run / "split.csv", dtype=str)
    assert len(split) == 44
    assert split.groupby("patient")["split"].nunique().eq(1).all()
    assert "always pneumonia" in out
    assert "87.6% does not compare" in out
    assert "0.876" in out


def test_metrics_are_those_of_images_csv_which_holds_the_test_split(ran):
    run = ran[0]
    images, split = pd.read_csv(run / "images.csv"), pd.read_csv(run / "split.csv", dtype=str)
    assert sorted(images["image"]) == sorted(split.loc[split["split"] == "test", "image"])
    metrics, truth = metrics_of(run), images["label"] == "pneumonia"
    called = images["probability"] >= 0.5
    assert metrics["accuracy"] == pytest.approx(accuracy_score(truth, called))
    assert metrics["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(truth, called))
    assert metrics["auroc"] == pytest.approx(roc_auc_score(truth, images["probability"]), abs=1e-3)  # six digits
    assert metrics["always_pneumonia/accuracy"] == pytest.approx(truth.mean())
    assert metrics["always_pneumonia/balanced_accuracy"] == 0.5
    for key in ("accuracy", "balanced_accuracy", "auroc", "shortcut/image/brightness"):
        assert 0 <= metrics[f"{key}_low"] <= metrics[key] <= metrics[f"{key}_high"] <= 1
    assert metrics["about"]["paper"]["accuracy"] == 0.876
    assert metrics["about"]["paper"]["comparable"] is False


def test_shares_of_grad_cam_are_those_of_the_trained_net(run):
    images, (classifier, data) = pd.read_csv(run / "images.csv"), load_classifier(run)
    assert not classifier.training
    rows = data.rows("test")
    assert data.radiographs.store.table["image"].iloc[rows].tolist() == images["image"].tolist()
    x = torch.from_numpy(data.radiographs.store.images[rows])[:, None]
    with torch.no_grad():
        assert classifier(x).sigmoid().numpy() == pytest.approx(images["probability"], abs=1e-4)
    assert data.radiographs.lung_fields[rows].mean(axis=(1, 2)) == pytest.approx(images["lung_share_of_area"], abs=1e-4)
    metrics = metrics_of(run)
    sick = images[(images["label"] == "pneumonia") & images["cam_share_in_lung"].notna()]
    assert metrics["counts/cam_zero_pneumonia"] == (images["label"] == "pneumonia").sum() - len(sick)
    assert len(sick) > 0
    assert metrics["cam/share_in_lung"] == pytest.approx(sick["cam_share_in_lung"].mean(), abs=1e-5)
    assert metrics["cam/lung_share_of_area"] == pytest.approx(sick["lung_share_of_area"].mean(), abs=1e-5)


def test_fig_2_is_fit_for_print_and_its_numbers_lie_beside_it(ran):
    run = ran[0]
    with Image.open(run / "figures" / "fig02_grad_cam.png") as picture:
        assert picture.info["dpi"] == pytest.approx((300, 300), abs=1)
    shown = pd.read_csv(run / "figures" / "fig02_grad_cam.csv")
    assert shown["label"].tolist() == [PNEUMONIA] * 4 + [NORMAL] * 2
    images = pd.read_csv(run / "images.csv").set_index("image")
    assert np.allclose(shown["probability"], images.loc[shown["image"], "probability"])


def test_started_again_it_is_left_as_it_is(run):
    before = times(run)
    assert start("classify", f"resume={run}") == 0
    assert times(run) == before


def test_a_run_that_was_ended_within_an_epoch_equals_one_that_was_not(tmp_path, monkeypatch):
    """SIGTERM to itself after some batches; the rest of the epoch, dropout included, comes as it would have come."""
    monkeypatch.chdir(tmp_path)
    fixed = [*TINY, "trainer.max_epochs=2", "batch_size=4"]
    assert start("classify", *fixed, "hydra.run.dir=whole") == 0
    from pneumo_ad.classifier import RadiographClassifier

    step, batches = RadiographClassifier.training_step, []

    def told_to_end(self, batch, batch_idx):
        batches.append(batch_idx)
        if len(batches) == 3:
            os.kill(os.getpid(), 15)
        return step(self, batch, batch_idx)

    monkeypatch.setattr(RadiographClassifier, "training_step", told_to_end)
    assert start("classify", *fixed, "hydra.run.dir=ended") == 143
    assert story("ended")["status"] == "interrupted"
    monkeypatch.setattr(RadiographClassifier, "training_step", step)
    assert start("classify", "resume=ended") == 0
    assert len(batches) == 3
    assert weights("ended") == weights("whole")
    assert metrics_of(Path("ended")) == metrics_of(Path("whole"))


def test_the_classifier_beside_a_run_has_its_split_and_size_and_is_trained_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    parts = ["net.width=4", "patch=8", "stride=8", "trainer=cpu", "trainer.max_epochs=1", "callbacks=minimal"]
    parts += ["callbacks.progress=null", "logger=csv", "evaluate=null", "seed=5", "hydra.run.dir=run"]
    assert start("train", *DATA, *parts) == 0
    run = Path("run")
    small = ["net.widths=[2,4,8]", "net.hidden=16", "trainer.max_epochs=1", "logger=csv", "callbacks.progress=null"]
    folder = classifier_beside(run, small)
    assert story(folder)["status"] == "finished"
    assert story(folder)["seed"] == 5
    assert pd.read_csv(folder / "split.csv").equals(pd.read_csv(run / "split.csv"))
    assert (folder / "figures" / "fig02_grad_cam.png").is_file()
    assert load_classifier(folder)[1].radiographs.image_size == (64, 64)
    before = times(folder)
    assert classifier_beside(run) == folder
    assert times(folder) == before


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("data.pneumonia=0", "no image of label=pneumonia"),
        ("image_size=4", "the least is 8 x 8"),
        ("trainer.devices=2", "trainer.devices=1"),
        ("batch_size=0", "batch_size=0"),
    ],
)
def test_what_cannot_work_is_refused_by_name(tmp_path, monkeypatch, capsys, override, words):
    monkeypatch.chdir(tmp_path)
    assert start("classify", *TINY, override, "hydra.run.dir=run") == 2
    assert words in capsys.readouterr().err
    assert not Path("run").exists()


def classified(shares, areas=(0.2, 0.3, 0.2, 0.3), labels=(PNEUMONIA, PNEUMONIA, NORMAL, NORMAL)):
    columns = {"image": list("abcd"), "patient": list("abcd"), "label": labels, "probability": (0.9, 0.4, 0.6, 0.1)}
    return pd.DataFrame(columns | {"cam_share_in_lung": shares, "lung_share_of_area": areas})


def test_maps_that_are_0_and_radiographs_without_lung_are_counted_and_left_out_by_name():
    metrics, about = measure_classifier(classified((0.1, np.nan, 0.4, 0.0), (0.2, 0.3, 0.2, 0.0)), {})
    assert metrics["cam/share_in_lung"] == 0.1
    assert metrics["cam/ratio"] == pytest.approx(0.5)
    assert metrics["cam/normal/ratio"] == pytest.approx(2)
    assert (metrics["counts/cam_zero_pneumonia"], metrics["counts/images_without_lung"]) == (1, 1)
    assert about["left_out_of_cam"] == {"Grad-CAM is 0 everywhere": ["b"], "no lung was found": ["d"]}
    nowhere, _ = measure_classifier(classified((np.nan,) * 4), {})
    assert not [key for key in nowhere if key.startswith("cam/")]  # not measured, and not 0


def test_shortcuts_stand_beside_under_their_names():
    many = pd.concat([classified((0.1, 0.2, 0.3, 0.4)).assign(patient=str(n)) for n in range(3)], ignore_index=True)
    sick = (many["label"] == PNEUMONIA).to_numpy(dtype=float)
    metrics, about = measure_classifier(many, {"aspect": sick, "none": np.ones(len(many))})
    assert metrics["shortcut/image/aspect"] == 1
    assert about["omitted"]["shortcut/image/none"] == "the same for every radiograph"
    assert {"shortcut/image/aspect_low", "shortcut/image/aspect_high"} <= set(metrics)


def test_one_class_only_is_refused_by_name():
    with pytest.raises(DataError, match="all 4 images are pneumonia"):
        measure_classifier(classified((0.1,) * 4, labels=(PNEUMONIA,) * 4), {})


@pytest.mark.parametrize("group", ["data", "lungs", "optimizer", "logger", "trainer"])
def test_every_choice_of_its_groups_composes(group, monkeypatch):
    monkeypatch.setenv("PNEUMO_AD_DATA", "data")
    for choice in choices(group):
        config = compose_config("classify", [f"{group}={choice}"])
        config.run_dir = "run"
        for key in OmegaConf.missing_keys(config):
            OmegaConf.update(config, key, "somewhere")
        OmegaConf.to_container(config, resolve=True)
    GlobalHydra.instance().clear()


def test_the_recipe_is_the_papers():
    config = compose_config("classify")
    config.run_dir = "run"
    module = build(config.module)
    assert config.optimizer._target_ == "torch.optim.Adam"
    assert (config.image_size, config.fit, config.net.dropout, len(config.net.widths)) == (256, "squash", 0.5, 3)
    assert module.net(torch.zeros(1, 1, 256, 256)).shape == (1,)
    assert len(build_all(config.callbacks)) == 4


def test_the_panel_prints_each_share_and_outlines_each_lung():
    images = [np.full((40, 30), 90, dtype=np.uint8)] * 3
    field = np.zeros((40, 30), dtype=np.uint8)
    field[10:30, 5:15] = 1
    cams = [
        np.linspace(0, 5, 1200, dtype=np.float32).reshape(40, 30),
        np.zeros((40, 30), np.float32),
        np.ones((40, 30)),
    ]
    figure = figures.grad_cam_panel(images, cams, [field, field, 0 * field], list("abc"), [0.25, float("nan"), 0.5])
    upper, lower = figure.axes[:3], figure.axes[3:6]
    words = [axis.get_xlabel() for axis in lower]
    assert words[0].startswith("in the lung:\n25% of Grad-CAM")
    assert "0 everywhere" in words[1]
    assert "17% of the area" in words[0]
    assert [axis.get_title() for axis in upper] == ["a", "b", "c"]
    assert [len(axis.collections) for axis in (*upper, *lower)] == [1, 1, 0, 1, 1, 0]
    overlay = lower[0].images[1].get_array()
    assert (overlay.min(), overlay.max()) == (0, 1)
