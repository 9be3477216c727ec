"""A run finds its own data whoever opens it from wherever, and no others under the same name."""

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from drawn import write_set
from omegaconf import OmegaConf
from PIL import Image
from running import start, story

from pneumo_ad.commands.train import start_run
from pneumo_ad.data.store.contents import read_contents
from pneumo_ad.data.store.opening import open_store
from pneumo_ad.data.store.store import earlier_key
from pneumo_ad.errors import DataError
from pneumo_ad.lungs.segmenter import WEIGHTS
from pneumo_ad.runs.classifying import load_classifier
from pneumo_ad.runs.run import load_run

SMALL = [
    "image_size=64", "patch=8", "stride=8", "net.width=4", "batch_size=16", "per_epoch=64", "datamodule.val_images=1",
    "trainer=cpu", "trainer.max_epochs=1", "callbacks=minimal", "callbacks.progress=null", "logger=csv",
    "lungs=files",
]  # fmt: skip
DATA = ["data=masks", "data.root=set", "data.val=0.2", "data.test=0.4"]


def negative(folder):
    for file in Path(folder).glob("images/*"):
        Image.fromarray(255 - np.asarray(Image.open(file))).save(file)


def files_of(folder):
    """Every file of a folder by name and digest; links are not followed."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(Path(folder).rglob("*"))
        if file.is_file()
    }


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A folder A with radiographs in A/set and a run of them in A/runs/r, all paths typed relative to A."""
    folder = tmp_path_factory.mktemp("original")
    with pytest.MonkeyPatch.context() as patch:
        write_set(folder / "A" / "set", normal=12, pneumonia=8)
        patch.chdir(folder / "A")
        patch.setattr(sys, "argv", sys.argv)
        patch.setenv("PNEUMO_AD_CACHE", str(folder / "cache"))
        assert start("train", *SMALL, *DATA, "hydra.run.dir=runs/r") == 0
    return folder


@pytest.fixture
def project(original, tmp_path, monkeypatch):
    """A copy of A, as if it had been made there, and an empty folder B to stand in."""
    monkeypatch.setenv("PNEUMO_AD_CACHE", str(tmp_path / "cache"))
    shutil.copytree(original / "A", tmp_path / "A")
    noted = tmp_path / "A" / "runs" / "r" / ".hydra" / "hydra.yaml"
    noted.write_text(noted.read_text().replace(str(original), str(tmp_path)))
    (tmp_path / "B").mkdir()
    monkeypatch.chdir(tmp_path / "B")
    return tmp_path


def measured(folder):
    found = json.loads((Path(folder) / "metrics.json").read_text())
    assert "patch/auroc_outside_vs_healthy" in found
    return {key: value for key, value in found.items() if key != "about"}


def test_a_run_finds_its_own_data_from_another_folder(project, original, caplog):
    shutil.copytree(project / "A" / "set", "set")
    negative("set")
    assert start("evaluate", "run=../A/runs/r", "output=out") == 0
    assert measured("out") == measured(original / "A" / "runs" / "r")
    images = (Path("out") / "images.csv").read_text()
    assert images == (original / "A" / "runs" / "r" / "images.csv").read_text()
    assert "data.root=set is that of ../A/runs/r, not what has the same name here" in caplog.text
    assert "set/images/n000.png" in images or "set/images/p012.png" in images
    assert str(project) not in images


def test_the_folder_of_that_name_here_is_others_when_it_is_named(project):
    shutil.copytree(project / "A" / "set", "set")
    negative("set")
    assert load_run("../A/runs/r", ["data.root=set"]).data_changed
    assert not load_run("../A/runs/r", ["data.root=../A/set"]).data_changed
    assert not load_run("../A/runs/r", [f"data.root={project}/A/set"]).data_changed
    assert not load_run("../A/runs/r", ["data.root=../A/other/../set/"]).data_changed
    found = load_run("../A/runs/r", ["data.root=set"]).radiographs
    assert Path(found.table["path"][0]).samefile("set/images/n000.png")


@pytest.mark.parametrize("link", [False, True])
def test_a_folder_and_its_run_can_move_together(project, link):
    if link:
        (project / "A" / "runs").rename(project / "elsewhere")
        (project / "A" / "runs").symlink_to(project / "elsewhere")
    before = load_run("../A/runs/r").radiographs.store
    (project / "A").rename(project / "Z")
    shutil.copytree(project / "Z" / "set", "set")
    negative("set")
    after = load_run("../Z/runs/r").radiographs.store
    assert np.array_equal(after.images, before.images)
    assert after.table.equals(before.table)
    assert after.table["path"][0] == "set/images/n000.png"
    assert start("evaluate", "run=../Z/runs/r", "output=out") == 0
    os.chdir(project / "Z")
    assert start("evaluate", "run=runs/r", "output=out") == 0
    assert measured("out") == measured("../B/out")


def test_what_was_typed_where_it_was_comes_first_and_others_there_are_refused(project):
    """After a move somebody else's folder may have the old name."""
    (project / "A").rename(project / "Z")
    shutil.copytree(project / "Z" / "set", project / "A" / "set")
    negative(project / "A" / "set")
    with pytest.raises(DataError, match=r"20 of 20 images hold something else under the same name: n000 \(image\)"):
        _ = load_run("../Z/runs/r").radiographs.store


def test_data_that_are_nowhere_are_named_as_typed(project, capfd):
    shutil.move(project / "A" / "set", project / "gone")
    shutil.copytree(project / "gone", "set")
    assert start("evaluate", "run=../A/runs/r") == 2
    said = capfd.readouterr().err
    assert "../A/runs/r: data.root=set is neither where it was typed when the run was started nor" in said
    assert str(project) not in said
    assert load_run("../A/runs/r").module is not None  # a run that judges other files does not need them


def test_a_run_that_does_not_tell_where_it_was_started_is_not_guessed_at(project):
    shutil.copytree(project / "A" / "set", "set")
    (project / "A" / "runs" / "r" / ".hydra" / "hydra.yaml").unlink()
    run = load_run("../A/runs/r")
    with pytest.raises(DataError, match=r"no \.hydra/hydra\.yaml tells where data\.root=set was typed"):
        _ = run.radiographs
    assert len(load_run("../A/runs/r", ["data.root=set"]).radiographs.store) == 20


def replace_pixels(root):
    negative_of = Image.open(root / "images" / "n003.png")
    Image.fromarray(255 - np.asarray(negative_of)).save(root / "images" / "n003.png")


def replace_mask(root):
    shutil.copy(root / "opacity" / "p013.png", root / "opacity" / "kept.png")
    Image.fromarray(np.zeros((96, 80), np.uint8)).save(root / "opacity" / "p013.png")


def lose_mask(root):
    (root / "lung" / "n003.png").rename(root / "lung" / "other.png")


def relabel(root):
    index = pd.read_csv(root / "index.csv", dtype=str)
    index.loc[index["image"] == "n003", "label"] = "pneumonia"
    index.to_csv(root / "index.csv", index=False)


CHANGES = {
    "n003 (image)": replace_pixels,
    "p013 (opacity)": replace_mask,
    "n003 (lung)": lose_mask,
    "n003 (label normal, now pneumonia)": relabel,
}


@pytest.mark.parametrize("named", CHANGES)
def test_a_file_that_was_replaced_is_named(project, named, capfd):
    CHANGES[named](project / "A" / "set")
    assert start("evaluate", "run=../A/runs/r", "output=out", "lungs=auto") == 2
    said = capfd.readouterr().err
    assert "changed since it was trained: 1 " in said
    assert named in said
    assert "evaluate the new data as others: data.root=... data.split=test output=..." in said
    assert not Path("out").exists()
    assert (
        start("evaluate", "run=../A/runs/r", "output=out", "data.root=../A/set", "data.split=test", "lungs=auto") == 0
    )


def test_a_run_does_not_go_on_with_other_pixels(project, capfd):
    run = project / "A" / "runs" / "r"
    told = story(run) | {"status": "interrupted"}
    (run / "run.json").write_text(json.dumps(told))
    kept = (run / "files.csv").read_bytes()
    replace_pixels(project / "A" / "set")
    assert start("train", "resume=../A/runs/r") == 2
    assert "1 of 20 images hold something else under the same name: n003 (image)" in capfd.readouterr().err
    assert (run / "files.csv").read_bytes() == kept
    assert str(project) not in story(run)["reason"]


def test_a_run_goes_on_from_another_folder(project):
    shutil.copytree(project / "A" / "set", "set")
    negative("set")
    run = project / "A" / "runs" / "r"
    before, told = files_of(run), story(run)
    (run / "run.json").write_text(json.dumps(told | {"status": "interrupted"}))
    assert start("train", "resume=../A/runs/r") == 0
    assert story(run)["status"] == "finished"
    assert files_of(run)["files.csv"] == before["files.csv"]
    assert (run / "images.csv").read_text().count("set/images/") == 8


def test_touched_and_copied_files_are_the_same(project):
    before = load_run("../A/runs/r").radiographs.store
    for file in (project / "A" / "set").rglob("*.png"):
        os.utime(file, ns=(0, 0))
    after = load_run("../A/runs/r").radiographs.store
    assert after.key != before.key
    assert after.table.equals(before.table)


def test_a_file_that_can_no_longer_be_read_is_named_with_on_error_skip_too(project):
    (project / "A" / "set" / "images" / "n003.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"n003 \(no longer to be read\)"):
        _ = load_run("../A/runs/r", ["on_error=skip"]).radiographs.store


def test_what_a_run_knows_is_what_the_files_hold(project):
    root, known = project / "A" / "set", read_contents(project / "A" / "runs" / "r" / "files.csv")
    assert len(known) == 20 + 20 + 8
    for image, kind, size, digest in known.itertuples(index=False):
        file = root / {"image": "images"}.get(kind, kind) / f"{image}.png"
        assert (int(size), digest) == (file.stat().st_size, hashlib.sha256(file.read_bytes()).hexdigest())


@pytest.mark.parametrize(
    "text", [b"", b"\xff\x00" * 40, b"image,kind\na,b\n", b"image,kind,bytes,sha256\na,b,1,x\na,b,1,x\n"]
)
def test_what_a_run_knows_may_be_damaged(project, text, capfd):
    (project / "A" / "runs" / "r" / "files.csv").write_bytes(text)
    assert start("evaluate", "run=../A/runs/r", "output=out") == 2
    said = [line for line in capfd.readouterr().err.splitlines() if "error" in line]
    assert len(said) == 1
    assert "../A/runs/r/files.csv: " in said[0]


def earlier(project, caplog):
    """The run as the version before left it."""
    run = project / "A" / "runs" / "r"
    (run / "files.csv").unlink()
    os.chdir(project / "A")
    told = story(run) | {"store": earlier_key(load_run("runs/r").radiographs.table, (64, 64), "squash")}
    os.chdir(project / "B")
    (run / "run.json").write_text(json.dumps(told))
    caplog.clear()
    return run


def test_a_run_of_the_version_before_opens_with_the_same_numbers(project, original, caplog):
    earlier(project, caplog)
    assert start("evaluate", "run=../A/runs/r", "output=out") == 0
    assert "cannot be told" not in caplog.text
    assert measured("out") == measured(original / "A" / "runs" / "r")


def test_of_a_run_of_the_version_before_other_times_are_said_in_a_line(project, caplog):
    earlier(project, caplog)
    os.utime(project / "A" / "set" / "images" / "n003.png", ns=(0, 0))
    assert len(load_run("../A/runs/r").radiographs.store) == 20
    assert caplog.text.count("whether they still hold what it was trained on cannot be told") == 1


def test_every_path_of_a_source_is_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = write_set(tmp_path / "A" / "set", normal=12, pneumonia=8)
    (root / "lung").rename(tmp_path / "A" / "lungs")
    (root / "opacity").rename(tmp_path / "A" / "opacities")
    (root / "index.csv").rename(tmp_path / "A" / "index.csv")
    boxes = pd.DataFrame([{"image": "n000", "x": 20, "y": 20, "width": 9, "height": 9}])
    boxes.to_csv(tmp_path / "A" / "boxes.csv", index=False)
    shutil.copy(WEIGHTS, tmp_path / "A" / "weights.safetensors")
    monkeypatch.chdir(tmp_path / "A")
    named = ["lung_dir=lungs", "opacity_dir=./opacities", "index=index.csv", "boxes=boxes.csv"]
    recipe = [*DATA, *(f"data.{one}" for one in named), "lungs=auto", "lungs.weights=weights.safetensors"]
    run = start_run("runs/r", [*SMALL[:-1], *recipe, "evaluate=false"])
    here = run.radiographs.store
    monkeypatch.chdir(tmp_path)
    (tmp_path / "A").rename(tmp_path / "Z")
    there = load_run("Z/runs/r")
    assert there.radiographs.store.table.equals(here.table)
    assert there.radiographs.lungs.segmenter.weights.samefile("Z/weights.safetensors")
    assert not there.data_changed
    (tmp_path / "Z" / "boxes.csv").write_text("image,x,y,width,height\nn000,20,20,9,10\n")
    with pytest.raises(DataError, match=r"n000 \(boxes\)"):
        _ = load_run("Z/runs/r").radiographs.store


SOURCE = """
from pathlib import Path
from pneumo_ad.data.sources import masks

def theirs(root, word: str, split: str = "patient", parts: list[str] | None = None):
    assert (word, split) == ("set", "patient")
    return masks(Path(root), val=0.2, test=0.4)
"""


def test_a_source_of_somebodys_own_says_what_its_paths_are(tmp_path, monkeypatch):
    """Words with a default are words, even where a folder has their name."""
    (tmp_path / "A" / "their_conf" / "data").mkdir(parents=True)
    (tmp_path / "their_source.py").write_text(SOURCE.replace('"set", "patient"', '"one", "patient"'))
    (tmp_path / "A" / "their_conf" / "data" / "theirs.yaml").write_text(
        "_target_: their_source.theirs\nroot: ???\nword: one\nsplit: patient\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    write_set(tmp_path / "A" / "set", normal=12, pneumonia=8)
    (tmp_path / "A" / "patient").mkdir()
    monkeypatch.chdir(tmp_path / "A")
    recipe = [*SMALL, "data=theirs", "data.root=set", "evaluate=false"]
    here = start_run("runs/r", recipe, [f"file://{tmp_path}/A/their_conf"]).radiographs.store
    monkeypatch.chdir(tmp_path)
    assert load_run("A/runs/r").radiographs.store.table.equals(here.table)


def test_jobs_of_a_sweep_and_a_classifier_find_their_data(tmp_path, monkeypatch):
    root = write_set(tmp_path / "A" / "set", normal=12, pneumonia=8)
    monkeypatch.chdir(tmp_path / "A")
    sweep = [*SMALL, *DATA, "evaluate=false", "-m", "seed=0,1", "hydra.sweep.dir=sweep"]
    assert start("train", *sweep) == 0
    small = ["image_size=64", "trainer=cpu", "trainer.max_epochs=1", "callbacks.progress=null", "lungs=files"]
    assert start("classify", *small, *DATA, "hydra.run.dir=runs/cnn", "logger=csv") == 0
    monkeypatch.chdir(tmp_path)
    jobs = sorted(file.parent for file in Path("A/sweep").glob("*/.hydra"))
    assert len(jobs) == 2
    for job in jobs:
        assert len(load_run(job).radiographs.store) == 20
    _, data = load_classifier(Path("A/runs/cnn"))
    assert data.radiographs.store.table["path"][0] == "set/images/n000.png"
    replace_pixels(root)
    for opened in (load_run(jobs[1]).radiographs, load_classifier(Path("A/runs/cnn"))[1].radiographs):
        with pytest.raises(DataError, match=r"n003 \(image\)"):
            _ = opened.store


def test_absolute_paths_stay_in_one_file(project, original):
    """Of a run that was trained, evaluated, reported and exported from here and from there."""
    os.chdir(project / "A")
    assert start("report", "run=runs/r", "images=2") == 0
    os.chdir(project / "B")
    assert start("report", "run=../A/runs/r", "images=2", "output=report.html") == 0
    assert start("export", "run=../A/runs/r", "output=model") == 0
    shutil.copytree(project / "A" / "set" / "images", "others")
    assert start("predict", "run=../A/runs/r", "input=others", "output=predicted", "report=true") == 0
    (Path("predicted") / "predict.json").unlink()  # by it the same command is known again
    written = [*(project / "A" / "runs").rglob("*"), *(project / "B").rglob("*")]
    found = {
        file.name
        for file in written
        if file.is_file() and any(str(one).encode() in file.read_bytes() for one in (project, original))
    }
    assert found - {"best.ckpt", "last.ckpt"} == {"hydra.yaml"}  # Lightning notes in a checkpoint where it lay


def test_radiographs_left_out_are_named_as_their_table_does(tmp_path, monkeypatch):
    root = write_set(tmp_path / "set")
    (root / "images" / "n000.png").write_bytes(b"no picture")
    monkeypatch.chdir(tmp_path)
    from pneumo_ad.data.sources import masks

    typed = open_store(masks("set", split="test"), (64, 64), on_error="skip")
    absolute = open_store(masks(tmp_path / "set", split="test"), (64, 64), on_error="skip")
    assert typed.key == absolute.key
    assert typed.skipped["n000"].startswith("set/images/n000.png: cannot be decoded")
    assert absolute.skipped["n000"].startswith(f"{root}/images/n000.png: cannot be decoded")


def test_two_folders_of_one_relative_path_have_stores_of_their_own(tmp_path, monkeypatch):
    """Files of one size and time, as archives unpack them, that hold something else."""
    stores = []
    from pneumo_ad.data.sources import folder

    for name, grey in (("A", 50), ("B", 200)):
        (tmp_path / name / "set").mkdir(parents=True)
        monkeypatch.chdir(tmp_path / name)
        Image.fromarray(np.tile(np.arange(grey, grey + 32, dtype=np.uint8), (32, 1))).save("set/a.bmp")
        os.utime("set/a.bmp", ns=(0, 0))
        stores.append(open_store(folder("set", split="test"), (32, 32)))
    assert stores[0].contents["bytes"].equals(stores[1].contents["bytes"])
    assert not stores[0].contents["sha256"].equals(stores[1].contents["sha256"])


def test_a_store_of_the_version_before_is_built_anew_and_that_is_said(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("PNEUMO_AD_CACHE", str(tmp_path / "cache"))
    from pneumo_ad.data.sources import masks

    table = masks(write_set(tmp_path / "set"), split="test")
    old = tmp_path / "cache" / "stores" / earlier_key(table, (64, 64), "squash")
    old.mkdir(parents=True)
    (old / "store.json").write_text("{}")
    assert len(open_store(table, (64, 64))) == 12
    assert caplog.text.count(f"store {old.name} of these files is of an earlier version, and a new one is built") == 1
    open_store(table, (64, 64))
    assert caplog.text.count("earlier version") == 1


def test_python_notes_where_a_run_lay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    start_run("runs/r", [*SMALL, "data.normal=24", "data.pneumonia=20", "data.size=96", "evaluate=false"])
    runtime = OmegaConf.load("runs/r/.hydra/hydra.yaml").hydra.runtime
    assert (runtime.cwd, runtime.output_dir) == (str(tmp_path), str(tmp_path / "runs" / "r"))
