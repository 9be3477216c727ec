"""The commands end to end on tiny phantoms."""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from contextlib import redirect_stdout
from functools import partial
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from drawn import write_kaggle, write_set
from filelock import FileLock
from hydra.core.global_hydra import GlobalHydra
from PIL import Image
from running import start
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import pneumo_ad
from pneumo_ad import cli
from pneumo_ad.clustering.embedding import train_embedding
from pneumo_ad.errors import ConfigError, DataError
from pneumo_ad.labels import KINDS
from pneumo_ad.runs import run as runs
from pneumo_ad.runs.calibration import validation_scores
from pneumo_ad.runs.scorer import scoring_of

TINY = [
    "data.normal=24", "data.pneumonia=20", "data.size=96", "image_size=64", "patch=8", "stride=8", "net.width=4",
    "batch_size=16", "trainer=cpu",
]  # fmt: skip
WINDOWS = 64
COMMAND = [sys.executable, "-c", "from pneumo_ad.cli import main; main()"]


class Said:
    """What a command printed and how it ended."""

    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err


@pytest.fixture
def command(monkeypatch, capfd, tmp_path):
    """Runs a command in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        GlobalHydra.instance().clear()
        monkeypatch.setattr(sys, "argv", ["pneumo-ad"])
        capfd.readouterr()
        status = 0
        try:
            cli.main([str(argument) for argument in arguments])
        except SystemExit as end:
            status = end.code or 0
        return Said(status, *capfd.readouterr())

    return run


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of one epoch, the cache it filled, and what was said."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as out:
        patch.chdir(folder)
        patch.setattr(sys, "argv", sys.argv)
        patch.setenv("PNEUMO_AD_CACHE", str(folder / "cache"))
        assert start("train", *TINY, "trainer.max_epochs=1", "name=tiny", "seed=3", drawn=True) == 0
    (run,) = (folder / "runs" / "tiny").iterdir()
    return run, folder / "cache", out.getvalue()


@pytest.fixture
def run(trained, tmp_path, monkeypatch):
    """A copy of the run to work on, with its cache."""
    monkeypatch.setenv("PNEUMO_AD_CACHE", str(trained[1]))
    return Path(shutil.copytree(trained[0], tmp_path / "run"))


@pytest.fixture
def others(tmp_path):
    """Another data set, with masks."""
    return write_set(tmp_path / "others", normal=6, pneumonia=7)


def metrics_of(folder):
    return json.loads((folder / "metrics.json").read_text())


def patches_of(folder):
    return pd.read_csv(folder / "patches.csv", keep_default_na=False)


def test_a_run_folder_tells_its_story(trained):
    run, _, out = trained
    story = json.loads((run / "run.json").read_text())
    assert story["seed"] == 3
    assert story["epochs"] == 1
    assert story["steps"] > 0
    assert {"command", "commit", "pneumo_ad", "python", "torch", "lightning", "device", "store"} <= set(story)
    assert "net.width=4" in story["command"]
    assert (run / ".hydra" / "config.yaml").is_file()
    assert {file.name for file in (run / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    assert list(run.glob("events.out.tfevents.*"))
    assert str(run) in out
    assert f"tensorboard --logdir {run}" in out
    assert "AUROC" in out


def test_the_split_is_kept_and_nobody_is_in_two(trained):
    split = pd.read_csv(trained[0] / "split.csv", dtype=str)
    assert len(split) == 44
    assert split.groupby("patient")["split"].nunique().eq(1).all()
    assert set(split["split"]) == {"train", "val", "test"}


def test_tables_have_a_row_for_each_window_and_each_radiograph(trained):
    run = trained[0]
    split = pd.read_csv(run / "split.csv", dtype=str)
    expected = set(split.loc[split["split"] == "test", "image"])
    images, patches = pd.read_csv(run / "images.csv"), patches_of(run)
    assert set(images["image"]) == set(patches["image"]) == expected
    assert len(images) == len(expected)
    assert len(patches) == len(expected) * WINDOWS
    assert patches.groupby(["image", "top", "left"]).size().eq(1).all()
    assert set(patches["kind_predicted"]) <= set(KINDS[:3])
    assert set(patches["kind_true"]) <= set(KINDS[:4])
    assert patches["sad"].between(0, 255).all()
    assert (patches["sad"] == patches["score"]).all()
    in_lung = patches[patches["lung_share"] > 0.5].groupby("image")["score"].mean()
    found, expected = images.set_index("image")["score"].dropna(), in_lung.reindex(images["image"]).dropna()
    assert np.allclose(found, expected, rtol=1e-3)


def test_metrics_hold_every_key_or_a_reason_and_the_baseline(trained):
    about = metrics_of(trained[0])
    metrics, omitted = about, about["about"]["omitted"]
    ranks = [
        f"{prefix}{key}"
        for prefix in ("", "brightness/")
        for key in (
            "patch/auroc_opacity_vs_healthy", "patch/auroc_outside_vs_healthy", "patch/auroc_pneumonia_vs_normal",
            "patch/auroc_pneumonia_vs_normal_in_lung", "pixel/auroc", "pixel/auroc_in_lung", "image/auroc",
        )
    ]  # fmt: skip
    plain = ["patch/macro_f1", "pixel/average_precision", "image/average_precision"]
    plain += [f"brightness/{key}" for key in plain]
    medians = [f"patch/sad_median_{name}" for name in ("healthy", "opacity", "outside", "normal_lung", "pneumonia")]
    for key in [*ranks, *plain, *medians]:
        assert (key in metrics) != (key in omitted), key
    for key in ranks:
        if key in metrics:
            assert 0 <= metrics[f"{key}_low"] <= metrics[key] <= metrics[f"{key}_high"] <= 1
    assert {"image/auroc", "patch/auroc_outside_vs_healthy"} <= set(metrics)
    assert metrics["counts/patches"] == metrics["counts/images"] * WINDOWS
    assert metrics["counts/pixels_uncovered_per_image"] == 0
    assert about["about"]["thresholds"]["score"][0] < about["about"]["thresholds"]["score"][1]


def test_figures_are_drawn(trained):
    names = {file.stem for file in (trained[0] / "figures").glob("*.png")}
    assert {"fig09_histogram", "fig10_red_frames", "anomaly_maps", "fig08_pneumonia_reconstructions"} <= names


def test_tensorboard_holds_histograms_with_the_right_counts_and_pictures(trained):
    run, cache, _ = trained
    os.environ["PNEUMO_AD_CACHE"] = str(cache)  # undone by the fixture that isolates it
    kinds = ("scalars", "histograms", "images", "tensors", "compressedHistograms", "audio")
    events = EventAccumulator(str(run), size_guidance=dict.fromkeys(kinds, 0))
    events.Reload()
    tags = events.Tags()
    assert {"sad/normal_lung", "sad/normal", "sad/pneumonia"} <= set(tags["histograms"])
    assert {"train/loss_epoch", "train/sad", "val/loss", "val/sad_normal_lung"} <= set(tags["scalars"])
    pictures = {"reconstruction/normal_lung", "reconstruction/pneumonia", "maps/anomaly", "maps/red_frames"}
    assert pictures <= set(tags["images"])
    loaders = runs.load_run(run).datamodule.val_dataloader()
    for kind, loader in zip(("normal_lung", "normal", "pneumonia"), loaders, strict=True):
        (written,) = events.Histograms(f"sad/{kind}")
        value = written.histogram_value
        assert value.num == len(loader.dataset) == sum(value.bucket)
        (mean,) = (event.value for event in events.Scalars(f"val/sad_{kind}"))
        assert value.sum / value.num == pytest.approx(mean, rel=1e-3)
        assert value.min <= mean <= value.max


def test_checkpoints_hold_weights_and_plain_numbers(trained):
    for file in (trained[0] / "checkpoints").iterdir():
        saved = torch.load(file, weights_only=True)
        assert all(isinstance(value, torch.Tensor) for value in saved["state_dict"].values())


def test_load_run_gives_ready_objects(run):
    opened = runs.load_run(run)
    assert not opened.module.training
    assert not opened.data_changed
    assert opened.checkpoint.name == "best.ckpt"
    batch = next(iter(opened.datamodule.val_dataloader()[0]))
    with torch.no_grad():
        examined = opened.module.examine(batch["patch"].float() / 255)
    assert examined["reconstruction"].shape == batch["patch"].shape
    kept = pd.read_csv(run / "split.csv", dtype=str).set_index("image")["split"]
    assert opened.radiographs.store.table.set_index("image")["split"].equals(kept)
    assert runs.load_run(run, checkpoint="last").checkpoint.name == "last.ckpt"
    state = torch.load(opened.checkpoint, weights_only=True)["state_dict"]
    assert all(torch.equal(value, state[key]) for key, value in opened.module.state_dict().items())


def test_evaluate_repeats_what_training_measured(command, run):
    before, patches = metrics_of(run), patches_of(run)
    (run / "metrics.json").unlink()
    said = command("evaluate", f"run={run}")
    assert said.status == 0, said.err
    assert metrics_of(run) == before
    assert patches_of(run).equals(patches)
    assert "AUROC" in said.out


def test_evaluate_predict_and_compare_from_python_are_the_commands(command, run, others, undrawn):
    assert command("evaluate", f"run={run}", "stride=16", "matched=false", "output=typed").status == 0
    found = pneumo_ad.evaluate(run, {"stride": 16, "matched": False}, output="called")
    assert found.folder == Path("called")
    assert metrics_of(found.folder) == metrics_of(Path("typed"))
    judged = pneumo_ad.predict(run=run, input=others / "images", output="judged", overlays=False, maps="none")
    assert judged.new == 13
    assert [file.name for file in Path("judged").iterdir() if file.is_dir()] == []
    assert [one.name for one in pneumo_ad.compare(run.parent, sort="image/auroc").runs] == [run.name]
    with pytest.raises(ConfigError, match=r"^strid=4 is not known; did you mean stride=4\?$"):
        pneumo_ad.evaluate(run=run, strid=4)


def test_evaluate_on_other_data_writes_beside_and_measures_all_of_them(command, run, others):
    before = (run / "metrics.json").read_bytes()
    said = command("evaluate", f"run={run}", "data=masks", f"data.root={others}")
    assert said.status == 0, said.err
    assert (run / "metrics.json").read_bytes() == before
    (output,) = (run / "evaluations").glob("data=masks,root=others-*")
    metrics = metrics_of(output)
    assert metrics["counts/images"] == 13
    assert (metrics["counts/images_normal"], metrics["counts/images_pneumonia"]) == (6, 7)
    assert "pixel/auroc" in metrics
    assert len(patches_of(output)) == 13 * WINDOWS
    assert metrics["brightness/patch/auroc_opacity_vs_healthy"] > 0.9  # the disc that the test drew is bright


def test_patients_seen_in_training_are_left_out_of_other_data_and_counted(command, run, others, undrawn):
    split = pd.read_csv(run / "split.csv", dtype=str)
    seen = split.loc[split["split"] == "train", "patient"].iloc[0]
    index = pd.read_csv(others / "index.csv", dtype=str)
    index.loc[index["patient"] == "patient0", "patient"] = seen
    index.to_csv(others / "index.csv", index=False)
    said = command("evaluate", f"run={run}", "data=masks", f"data.root={others}", "output=out")
    assert said.status == 0, said.err
    metrics = metrics_of(Path("out"))
    assert metrics["counts/images_seen_in_training"] == 2
    assert metrics["counts/images"] == 11
    assert "2 radiographs seen in training" in said.out


def test_relative_scores_are_shares_of_the_radiographs_own_quantile(command, run, undrawn):
    said = command("evaluate", f"run={run}", "relative=0.5", "output=out")
    assert said.status == 0, said.err
    patches = patches_of(Path("out"))
    for _, windows in patches.groupby("image"):
        expected = windows["sad"] / np.quantile(windows["sad"], 0.5)
        np.testing.assert_allclose(windows["score"], expected, rtol=1e-4)
    assert command("evaluate", f"run={run}", "relative=1.5", "output=out").status == 2


def test_of_a_fine_stride_some_windows_are_kept_and_the_rest_counts_too(command, run, undrawn):
    said = [
        command("evaluate", f"run={run}", "stride=4", f"kept_windows={most}", f"output={most}")
        for most in ("null", 225, 25)
    ]
    assert [one.status for one in said] == [0, 0, 0], said[-1].err
    every, bound, thinned = (metrics_of(Path(name)) for name in ("null", "225", "25"))
    images = every["counts/images"]
    # Where the bound is not exceeded, nothing differs.
    assert {key: value for key, value in every.items() if key != "about"} == {
        key: value for key, value in bound.items() if key != "about"
    }
    assert Path("225/patches.csv").read_bytes() == Path("null/patches.csv").read_bytes()
    assert every["counts/windows_scored"] == every["counts/patches"] == images * 15 * 15
    assert "window each way" not in said[1].out + said[1].err
    # Where it is, what is made of maps and radiographs is the same, and windows are some of those that there are.
    assert (thinned["counts/windows_scored"], thinned["counts/patches"]) == (images * 15 * 15, images * 25)
    assert thinned["about"]["strides"] == {"scored": 4, "kept": 12}
    assert "patch figures: every 3rd window each way, stride 12" in said[2].out
    same = [key for key in every if key.removeprefix("brightness/").startswith(("image/", "pixel/", "shortcut/image"))]
    assert len(same) > 20
    assert all(thinned[key] == every[key] for key in same)
    for file in ("maps/score.npy", "maps/truth.npy"):
        assert (Path("25") / file).read_bytes() == (Path("null") / file).read_bytes()
    few, all_of_them = patches_of(Path("25")), patches_of(Path("null"))
    told = ["image", "top", "left", "score", "lung_share", "kind_true"]
    expected = all_of_them[(all_of_them["top"] % 12 == 0) & (all_of_them["left"] % 12 == 0)]
    pd.testing.assert_frame_equal(few[told], expected[told].reset_index(drop=True))
    columns = ["image", "score", "brightness"]
    pd.testing.assert_frame_equal(pd.read_csv("25/images.csv")[columns], pd.read_csv("null/images.csv")[columns])


def test_figures_report_and_clusters_of_a_fine_stride_are_of_the_windows_kept(command, run, monkeypatch):
    fine = [f"run={run}", "stride=4", "kept_windows=25"]
    assert command("figures", *fine, "only=3,10", "output=paper").status == 0
    assert len(pd.read_csv("paper/fig10_red_frames.csv").groupby("image")) == 6
    assert pd.read_csv("paper/fig10_red_frames.csv").groupby("image").size().eq(25).all()
    assert (pd.read_csv("paper/fig03_normal_patches.csv")["top"] % 12 == 0).all()
    assert command("report", *fine, "images=2", "output=report.html").status == 0
    assert "every 12 pixels" in Path("report.html").read_text()
    monkeypatch.setattr("pneumo_ad.clustering.description.train_embedding", partial(train_embedding, steps=5))
    monkeypatch.setattr("pneumo_ad.evaluation.clusters._draw", lambda *_: None)
    assert command("cluster", *fine, "output=clusters").status == 0
    assert len(pd.read_csv("clusters/clusters.csv")) == 25 * metrics_of(run)["counts/images"]


def test_evaluate_may_change_whatever_the_weights_do_not_depend_on(command, run, undrawn):
    changes = ["score=sad_contrast", "threshold=quantiles", "stride=16", "subset=val", "checkpoint=last"]
    said = command("evaluate", f"run={run}", *changes, "output=out")
    assert said.status == 0, said.err
    about = metrics_of(Path("out"))
    about = about["about"]
    assert about["score"] == "SADContrast"
    assert about["unit"] == "share of the patch's contrast"
    assert about["subset"] == "val"
    assert about["checkpoint"] == "checkpoints/last.ckpt"
    patches = patches_of(Path("out"))
    assert set(patches["top"]) == set(range(0, 64, 16))
    assert (patches["sad"] != patches["score"]).any()


@pytest.mark.parametrize("change", ["stride=16", "lungs=none", "image_size=48", "data.test=0.2", "score=brightness"])
def test_thresholds_are_fitted_anew_when_what_they_depend_on_changes(command, run, undrawn, change):
    def kept():
        files = (run / "validation_scores").glob("*.npz")
        return {file.name: {name: of for name, of in np.load(file).items() if of.dtype.kind == "f"} for file in files}

    before = kept()
    assert len(before) == 1
    (first,) = before.values()
    said = command("evaluate", f"run={run}", change, "output=out")
    assert said.status == 0, said.err
    new = [scores for name, scores in kept().items() if name not in before]
    if change == "data.test=0.2":  # other data: thresholds stay those of the run's own validation
        assert new == []
    else:
        assert len(new) == 1
        assert set(new[0]) == set(first)
        assert any(not np.array_equal(new[0][name], first[name]) for name in first)


def test_thresholds_are_kept_while_nothing_changes(command, run, undrawn):
    times = {file.name: file.stat().st_mtime_ns for file in (run / "validation_scores").iterdir()}
    assert command("evaluate", f"run={run}", "threshold=mixture", "output=out").status == 0
    assert {file.name: file.stat().st_mtime_ns for file in (run / "validation_scores").iterdir()} == times
    changed = metrics_of(Path("out"))["about"]["thresholds"]
    assert changed["score"] != metrics_of(run)["about"]["thresholds"]["score"]


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("net=autoencoder", "net cannot change after training: the run's weights depend on net"),
        ("net.width=8", "net.width cannot change after training"),
        ("loss=l1", "loss cannot change after training"),
        ("seed=4", "seed cannot change after training"),
        ("experiment=paper", "experiment=paper: only group=choice and key=value can be applied"),
        ("strride=16", "strride"),
        ("score=best", "best"),
        ("stride=8,16", "only group=choice and key=value"),
        ("~logger", "only group=choice and key=value"),
        ("subset=half", "subset=half is not known; expected train, val, test or all"),
        ("checkpoint=third", "no checkpoint 'third'; there are: best, last"),
        ("stride=0", "stride=0 must lie between 1 and the image side, 64 pixels"),
        ("patch=65", "a patch of 65 pixels does not fit a side of 64 pixels"),
        (
            "kept_windows=0",
            "kept_windows=0 of the 64 windows of an image are too few; the fewest that can be kept are 1",
        ),
        ("eval_batch_size=0", "eval_batch_size=0 must be a whole number of windows, at least 1, or null"),
        ("kept_windows=many", "kept_windows=many must be a whole number of windows of an image, or null for all"),
        ("compile=maybe", "compile=maybe is not known; expected true or false"),
        ("data=chest_xray", "root"),
    ],
)
def test_evaluate_refuses_by_name(command, run, override, words):
    said = command("evaluate", f"run={run}", override)
    assert said.status == 2
    assert "error: " in said.err
    assert words in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize("name", ["figures", "cluster"])
@pytest.mark.parametrize("override", ["kept_windows=many", "eval_batch_size=-1", "scoring=densely"])
def test_other_commands_that_score_refuse_the_same(command, run, name, override):
    said = command(name, f"run={run}", override)
    assert said.status == 2
    assert f"error: {override} " in said.err


def test_no_run_and_no_run_folder_and_no_checkpoint(command, run, tmp_path):
    said = command("evaluate", "stride=8")
    assert (said.status, "the shipped detector" in said.err) == (2, True)
    said = command("figures", "stride=8")
    assert (said.status, "run=RUN_FOLDER must be given" in said.err) == (2, True)
    said = command("evaluate", f"run={tmp_path}")
    assert said.status == 2
    assert f"{tmp_path}: not a run folder (no .hydra/config.yaml); runs below it: {run}" in said.err
    (tmp_path / "runs" / "tiny").mkdir(parents=True)
    deep = run.rename(tmp_path / "runs" / "tiny" / "1")
    assert f"runs below it: {deep}" in command("evaluate", f"run={tmp_path / 'runs'}").err
    run = deep
    said = command("evaluate", f"run={tmp_path / 'nowhere'}")
    assert "nowhere: not a run folder" in said.err
    for file in (run / "checkpoints").iterdir():
        file.unlink()
    said = command("evaluate", f"run={run}")
    assert said.status == 2
    assert (
        f"holds no checkpoint: its training was stopped before the first epoch ended; pneumo-ad train resume={run}"
        in said.err
    )
    assert "Traceback" not in said.err
    with pytest.raises(DataError, match="holds no checkpoint"):
        runs.load_run(run)
    with pytest.raises(ConfigError, match="net cannot change"):
        runs.load_run(run, ["net=autoencoder"])


def test_a_checkpoint_that_was_cut_is_refused_by_name(command, run):
    file = run / "checkpoints" / "best.ckpt"
    file.write_bytes(file.read_bytes()[:1000])
    said = command("evaluate", f"run={run}")
    assert said.status == 2
    assert "best.ckpt: " in said.err
    assert "Traceback" not in said.err


ALL_SICK = ["data=folder", "data.root=others", "data.default_label=pneumonia"]
MISTAKES = {
    "no root": (["data=chest_xray"], "data.root"),
    "missing folder": (["data=masks", "data.root=nowhere"], "nowhere: no such folder"),
    "empty folder": (["data=folder", "data.root=empty"], "empty: no image found"),
    "wrong layout": (["data=chest_xray", "data.root=others"], "expected the folders NORMAL and PNEUMONIA"),
    "not divisible": (["patch=10"], "needs sides divisible by 4; got 10, the nearest that work: 8 or 12"),
    "deeper": (["net.depth=4"], "needs sides divisible by 16; got 8, the nearest that work: 16"),
    "stride 0": (["stride=0"], "stride=0 must lie between 1 and the image side, 64 pixels"),
    "stride too large": (["stride=65"], "stride=65 must lie between 1 and the image side, 64 pixels"),
    "patch beyond the image": (["patch=80"], "the largest that works is 64"),
    "patch beyond the lung": (["patch=48"], "the largest patch that fits is"),
    "fit": (["fit=crop"], "fit='crop' is not known"),
    "on_error": (["on_error=ignore"], "on_error='ignore' is not known"),
    "score": (["score=sad_contrast", "score.floor=0"], "floor=0 must be positive"),
    "phantoms": (["data.normal=-1"], "counts must be >= 0"),
    "truncated": (["data=masks", "data.root=truncated"], "on_error=skip leaves them out"),
    "one class": ([*ALL_SICK, "lungs=none"], "no image of label=normal in the train split; there are"),
    "precision": (["trainer.precision=half"], "half"),
    "gpu": (["trainer=gpu"], "trainer=gpu needs a CUDA device and none was found"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_of_the_users_ends_with_2_and_its_name(command, tmp_path, name):
    overrides, words = MISTAKES[name]
    if name == "gpu" and torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    (tmp_path / "empty").mkdir()
    write_set(tmp_path / "others")
    bad = write_set(tmp_path / "truncated") / "images" / "n003.png"
    bad.write_bytes(bad.read_bytes()[:500])
    phantoms = [] if overrides[0].startswith("data=") else TINY[:3]
    said = command("train", *phantoms, *TINY[3:], "trainer.max_epochs=1", *overrides)
    assert said.status == 2, said.err
    assert words in said.err
    assert "Traceback" not in said.err
    assert list(tmp_path.glob("runs/*/*/checkpoints/*")) == []


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("patchh=8", "patchh=8 is not known; did you mean patch=8?"),
        ("net=resnet", "net=resnet is not known; did you mean net=unet? There are aligned_gaussian, "),
        ("net.widht=4", "net.widht=4 is not known; did you mean net.width=4?"),
        ("nett=unet", "nett=unet is not known; did you mean net=unet?"),
        ("patch", "patch is not known; expected KEY=VALUE"),
        ("name=a,b", "several values need -m, which sweeps; as one: 'name=\"a,b\"'"),
        ("data.root=a,b", "did you mean data.root=a,b with data=chest_xray, folder, masks, rsna or splits?"),
        ("data.root=[a", "data.root=[a: cannot be read; as plain text data.root takes 'data.root=\"[a\"'"),
    ],
)
def test_an_override_that_hydra_cannot_take_is_refused_in_a_line(command, override, words):
    said = command("train", *TINY, override)
    assert said.status == 2
    (line,) = [line for line in said.err.splitlines() if line.startswith("error: ")]
    assert words in line
    assert "Traceback" not in said.err
    assert not Path("runs").exists()


def test_train_on_radiographs_in_the_layout_of_kaggle_with_bad_files_left_out(command, tmp_path):
    root = write_kaggle(tmp_path / "kaggle", ("train", "test"), normal=8, pneumonia=8)
    bad = root / "train" / "NORMAL" / "IM-0000-0001.jpeg"
    bad.write_bytes(bad.read_bytes()[:300])
    options = ["data=chest_xray", f"data.root={root}", "data.split=official", "lungs=none", "on_error=skip", "fit=pad"]
    with pytest.warns(UserWarning, match="1 images were skipped"):
        said = command("train", *TINY[3:], "trainer.max_epochs=1", "callbacks=minimal", *options, "hydra.run.dir=out")
    assert said.status == 0, said.err
    about = metrics_of(Path("out"))
    assert about["counts/images_skipped"] == 1
    assert list(about["about"]["skipped"]) == ["train/IM-0000-0001"]
    assert "opacity pixels" in about["about"]["omitted"]["pixel/auroc"]
    assert "image/auroc" in about
    assert "1 radiograph skipped" in said.out


def test_train_with_augmentation_and_early_stopping(command):
    options = ["augment=light", "callbacks=early_stopping", "logger=csv", "evaluate=false", "per_epoch=20"]
    said = command("train", *TINY, "trainer.max_epochs=2", *options, "corruption=coarse_noise", "hydra.run.dir=out")
    assert said.status == 0, said.err
    assert not Path("out/metrics.json").exists()
    assert json.loads(Path("out/run.json").read_text())["steps"] == 2 * 2
    assert "val/loss" in Path("out/csv/version_0/metrics.csv").read_text()


def test_stores_are_listed_and_cleared(command, others):
    from pneumo_ad.data import open_store, sources

    table = sources.masks(others)
    keys = [open_store(table, size).key for size in ((32, 32), (48, 48))]
    said = command("store")
    assert said.status == 0
    assert all(key in said.out.replace("\n", "") or key[:8] in said.out for key in keys)
    assert "in 2 stores" in said.out
    assert command("store", f"clear={keys[0]}").out.startswith(f"cleared {keys[0]}")
    assert "in 1 stores" in command("store").out
    said = command("store", "clear=abc")
    assert said.status == 2
    assert f"no store 'abc'; there are: {keys[1]}" in said.err
    assert command("store", "clear=all").status == 0
    assert "in 0 stores" in command("store").out
    for wrong, words in (
        ("clear", "did you mean clear=...?"),
        ("remove=all", "remove=all is not known; expected clear=KEY"),
    ):
        said = command("store", wrong)
        assert (said.status, words in said.err) == (2, True)


def test_clearing_all_also_removes_what_a_killed_build_left(command, cache):
    left = cache / "stores" / "0123456789abcdef.partial"
    left.mkdir(parents=True)
    (left / "images.npy").write_bytes(b"half")
    assert command("store", "clear=all").status == 0
    assert not left.exists()


@pytest.mark.parametrize(
    "name", ["train", "train-lungs", "classify", "evaluate", "figures", "store", "compare", "cluster"]
)
def test_every_command_explains_itself(command, monkeypatch, name):
    monkeypatch.setenv("PNEUMO_AD_DATA", "data")
    said = command(name, "--help")
    assert said.status == 0
    assert f"pneumo-ad {name}" in said.out
    if name != "store":
        assert "data" in said.out
        assert "trainer" in said.out
    if name == "train":
        assert all(word in said.out for word in ("net=unet ", "loss=dice ", "stride=20"))
    if name == "evaluate":
        assert all(word in said.out for word in ("chest_xray", "sad_contrast", "quantiles", "run=RUN"))


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_without_a_command_the_commands_are_listed(command, words):
    said = command(*words)
    assert said.status == 0
    assert all(name in said.out for name in ("train", "evaluate", "train-lungs", "store"))


def test_an_unknown_command_hints_at_the_nearest(command):
    said = command("trian")
    assert said.status == 2
    assert "unknown command 'trian'; did you mean train?" in said.err
    said = command("xyz")
    assert said.status == 2
    explained = re.findall(r"^    ([a-z-]+) {2}", cli.overview(), re.M)
    assert len(explained) > 9
    known = said.err.partition("Commands: ")[2].strip().split(", ")
    assert sorted(known) == sorted(explained)


def test_the_installed_command_is_this_one():
    installed = Path(sys.executable).with_name("pneumo-ad")
    if not installed.exists():
        pytest.skip("pneumo-ad is not installed beside this Python")
    done = subprocess.run([installed, "--version"], capture_output=True, text=True)
    import pneumo_ad

    assert done.stdout.strip() == pneumo_ad.__version__


def changed_split(run, change):
    """What a run says of who is in which split, rewritten."""
    split = pd.read_csv(run / "split.csv", dtype=str)
    change(split).to_csv(run / "split.csv", index=False)


def test_radiographs_that_a_run_never_dealt_are_not_evaluated_and_named(command, run, undrawn):
    """As of a file that came after the training; with them matched figures were refused."""
    later = pd.read_csv(run / "split.csv", dtype=str)["image"].iloc[[0, -1]].tolist()
    changed_split(run, lambda split: split[~split["image"].isin(later)])
    with pytest.warns(UserWarning, match=f"2 images were added after .*: {', '.join(later)}$"):
        said = command("evaluate", f"run={run}", "subset=all", "on_error=skip", "matched=true", "output=out")
    assert said.status == 0, said.err
    assert metrics_of(Path("out"))["counts/images"] == 42
    assert set(pd.read_csv("out/images.csv", dtype=str)["image"]).isdisjoint(later)
    assert metrics_of(Path("out"))["counts/images_matched"] <= 42


def test_patients_that_no_split_holds_are_not_taken_for_seen(command, run, others, undrawn):
    changed_split(run, lambda split: split.assign(patient="patient0", split="undealt"))
    assert command("evaluate", f"run={run}", "data=masks", f"data.root={others}", "output=out").status == 0
    assert metrics_of(Path("out"))["counts/images_seen_in_training"] == 0


def test_where_all_patients_bear_names_of_seen_ones_that_is_said(command, run, others):
    names = pd.read_csv(others / "index.csv", dtype=str)["patient"].unique()
    changed_split(run, lambda split: split[split["split"] == "train"].head(len(names)).assign(patient=names))
    said = command("evaluate", f"run={run}", "data=masks", f"data.root={others}")
    assert said.status == 2
    assert "nothing to evaluate: 13 of 13 images are of patients of the same name as some whom" in said.err
    assert "for example n000 of patient patient0. Where they are other people, name the patients in a csv" in said.err


def test_two_processes_do_not_write_one_evaluation(command, run, monkeypatch):
    monkeypatch.setattr("pneumo_ad.commands.evaluate._PATIENCE", 0.1)
    with FileLock(run / ".lock"):
        said = command("evaluate", f"run={run}")
        assert said.status == 2
        assert f"{run}: another process is at this run" in said.err
    monkeypatch.setattr(
        "pneumo_ad.evaluation.evaluate.evaluate_run", lambda run, output, *_: (output / "metrics.json").write_text("{}")
    )
    monkeypatch.setattr("pneumo_ad.evaluation.summary.print_evaluation", lambda *arguments: None)
    Path("out").mkdir()
    with FileLock(run / ".lock"):
        assert command("evaluate", f"run={run}", "output=out").status == 0  # that is another evaluation
    assert command("evaluate", f"run={run}", "output=/proc/no").status == 2


def test_nothing_is_built_to_match_too_few(command, run, tmp_path, undrawn, monkeypatch):
    others = write_set(tmp_path / "others", normal=6, pneumonia=4)
    monkeypatch.setattr("pneumo_ad.evaluation.evaluate._padded", lambda *arguments: pytest.fail("a store was built"))
    said = command("evaluate", f"run={run}", "data=masks", f"data.root={others}", "matched=true", "output=out")
    assert said.status == 0, said.err
    told = metrics_of(Path("out"))["about"]["omitted"]["image/auroc_matched"]
    assert told == "4 pneumonia radiographs that could be matched; at least 5 are needed"


def test_the_runs_own_data_are_asked_for_whatever_is_said_of_other_data(run, others):
    own = runs.load_run(run).radiographs.table
    changes = ["data=masks", f"data.root={others}", "stride=4"]
    data = runs.load_run(run, changes).own_radiographs()
    assert data.grid.stride == 4
    pd.testing.assert_frame_equal(data.table, own)


@pytest.fixture
def own_copy(run, trained, tmp_path, monkeypatch):
    """The run opened on a copy of its own radiographs, which a test may change."""
    monkeypatch.setenv("PNEUMO_AD_CACHE", str(shutil.copytree(trained[1], tmp_path / "cache")))
    return run


def validation_of(run, *overrides):
    opened = runs.load_run(run, overrides)
    return validation_scores(opened, scoring_of(opened), look=True)


def kept_of(run):
    (kept,) = (run / "validation_scores").iterdir()
    return kept


def test_kept_scores_are_made_anew_of_another_picture_under_the_same_name(own_copy):
    first = validation_of(own_copy)
    times = kept_of(own_copy).stat().st_mtime_ns
    assert all(np.array_equal(scores, first[name]) for name, scores in validation_of(own_copy).items())
    assert kept_of(own_copy).stat().st_mtime_ns == times
    table = runs.load_run(own_copy).radiographs.table
    of_training, of_validation = (
        table.loc[(table["split"] == split) & (table["label"] == "normal"), "path"].iloc[0]
        for split in ("train", "val")
    )
    os.utime(of_training)  # is none of theirs
    validation_of(own_copy)
    assert kept_of(own_copy).stat().st_mtime_ns == times
    with Image.open(of_validation) as picture:
        other = picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    other.save(of_validation)
    with pytest.raises(DataError, match="1 of 44 images hold something else under the same name"):
        validation_of(own_copy)
    (own_copy / "files.csv").unlink()  # a run of an earlier version does not know what its files held
    second = validation_of(own_copy)
    assert not np.array_equal(second["score_normal_images"], first["score_normal_images"])
    assert all(np.array_equal(scores, second[name]) for name, scores in validation_of(own_copy).items())


def test_kept_scores_do_where_the_data_are_not_at_hand(own_copy, tmp_path):
    first = validation_of(own_copy)
    shutil.rmtree(tmp_path / "cache")
    config = own_copy / ".hydra" / "config.yaml"
    found = runs.load_run(own_copy)
    found.__dict__["datamodule"] = None  # never asked for where it cannot be given
    assert config.is_file()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs.Run, "own_radiographs", lambda self: (_ for _ in ()).throw(DataError("elsewhere")))
        again = validation_scores(found, scoring_of(found))
    assert all(np.array_equal(scores, first[name]) for name, scores in again.items())


def test_kept_scores_may_be_read_by_whoever_may_read_the_run(own_copy):
    before = os.umask(0o022)
    try:
        shutil.rmtree(own_copy / "validation_scores")
        validation_of(own_copy)
    finally:
        os.umask(before)
    assert stat.S_IMODE(kept_of(own_copy).stat().st_mode) == 0o644


def test_kept_scores_of_somebody_else_that_cannot_be_read_are_made_anew(own_copy, monkeypatch, caplog):
    first = validation_of(own_copy)

    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    whole = os.open
    monkeypatch.setattr(os, "open", lambda file, *how: refuse() if Path(file).suffix == ".npz" else whole(file, *how))
    assert set(first) == set(validation_of(own_copy))
    assert "cannot be read" in caplog.text
