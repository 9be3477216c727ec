"""`pneumo-ad prepare`: shards made ahead of training and joined, once, whatever happens meanwhile."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from drawn import radiograph, write_set
from PIL import Image
from running import COMMAND, TINY, process, start, weights

from pneumo_ad.data.store.upkeep import list_stores

OPTIONS = ["data=masks", "data.val=0.25", "data.test=0.25", "image_size=64"]


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """A working folder and a cache of its own, and the words for radiographs in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["pneumo-ad"])
    return [*OPTIONS, f"data.root={write_set(tmp_path / 'set', normal=12, pneumonia=9)}"]


@pytest.fixture
def rest():
    """What a tiny training takes beside its data."""
    return [one for one in TINY if not one.startswith(("data.", "image_size"))]


def parts():
    """By name, when each file of every part was last written."""
    cache = Path(os.environ["PNEUMO_AD_CACHE"]) / "stores"
    return {str(file): file.stat().st_mtime_ns for file in cache.glob("*.parts/*/*.npy")}


def stores():
    """By name, when each file of every store was last written; `store.json` tells when it was opened."""
    return {
        f"{one.folder.name}/{file.name}": file.stat().st_mtime_ns
        for one in list_stores()
        for file in one.folder.glob("*.npy")
    }


def test_a_run_on_what_was_prepared_in_shards_is_the_run_to_the_bit(alone, rest, monkeypatch):
    measured = [*rest, "evaluate=test", "trainer.max_epochs=1"]
    assert start("train", *alone, *measured, "hydra.run.dir=one") == 0
    monkeypatch.setenv("PNEUMO_AD_CACHE", str(Path("another").absolute()))
    assert start("prepare", *alone, "num_shards=3") == 0
    before = stores()
    assert start("train", *alone, *measured, "hydra.run.dir=many") == 0
    assert before.items() <= stores().items()
    assert weights("many") == weights("one")
    assert weights("one")
    for name in ("patches.csv", "images.csv", "split.csv", "metrics.json"):
        assert Path("many", name).read_bytes() == Path("one", name).read_bytes()


def test_what_is_there_is_left_as_it_is(alone, capfd):
    assert start("prepare", *alone, "num_shards=3", "shard=1", "lungs=segmenter") == 0
    said = capfd.readouterr().out
    assert "shard 1 of 3: 7 images: images in" in said
    assert "fields and grey levels in" in said
    assert "still to be prepared: shard=0,2" in said
    before = parts()
    assert start("prepare", *alone, "num_shards=3", "shard=1", "lungs=segmenter") == 0
    assert "shard 1 of 3: 7 images: was there" in capfd.readouterr().out
    assert parts() == before
    assert start("prepare", *alone, "num_shards=3", "lungs=segmenter", "intensity=lung_field") == 0
    said = capfd.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in said if line.startswith("shard")] == [f"shard {i} of 3" for i in range(3)]
    assert re.search(
        r"store \w+: 21 images: shards joined in [\d.]+ s \([\d.]+/s\)$", "\n".join(said)
    )  # all was joined
    assert parts() == {}
    after = stores()
    assert sum("intensity" in name for name in after) == 1
    for words in (["num_shards=3"], ["num_shards=3", "shard=1"], []):
        assert start("prepare", *alone, *words, "lungs=segmenter", "intensity=lung_field") == 0
        assert "21 images: was there" in capfd.readouterr().out
    assert stores() == after
    assert parts() == {}


def test_a_sweep_of_shards_in_two_processes_that_now_and_then_meet_at_one(alone):
    launcher = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    words = ["prepare", "-m", *alone, "lungs=segmenter", "num_shards=2", "shard=0,0,1", *launcher]
    done = subprocess.run([*COMMAND, *words], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert [one.images for one in list_stores()] == [21]
    assert sum("lungs-" in name for name in stores()) == 1
    told = re.findall(r"^shard (\d) of 2", done.stdout, re.MULTILINE)
    assert sorted(told) == list("001")


def test_a_shard_that_fails_does_not_end_the_others(alone, capfd):
    table = pd.read_csv(Path("set/index.csv"))
    Path("set/images", f"{table['image'][0]}.png").write_bytes(b"no image")
    assert start("prepare", "-m", *alone, "num_shards=3", "shard=0,1,2,3") == 1
    said = "".join(capfd.readouterr())
    assert "n000" in said
    assert "shard=3 is out of range" in said
    assert [one.damaged for one in list_stores()] == ["half made: parts 1, 2 of 3 are there"]
    assert start("prepare", *alone, "num_shards=3", "shard=0", "on_error=skip") == 0
    assert "1 cannot be read and are left out" in capfd.readouterr().out
    assert [one.images for one in list_stores()] == [20]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["num_shards=3", "shard=3"], "shard=3 is out of range: num_shards=3 has shards 0 to 2; null takes all"),
        (["num_shards=3", "shard=-1"], "shard=-1 is out of range"),
        (["num_shards=3", "shard=first"], "shard=first is out of range"),
        (["num_shards=0"], "0 shards of 21 images; expected a number from 1 to 21"),
        (["num_shards=22"], "22 shards of 21 images; expected a number from 1 to 21"),
        (["image_size=0"], "image_size=0 must be one side or height and width in pixels"),
        (["on_error=ignore"], "on_error='ignore' is not known"),
        (["fit=crop"], "fit='crop' is not known"),
    ],
)
def test_what_cannot_be_is_refused_in_words(alone, capfd, words, told):
    assert start("prepare", *alone, *words) == 2
    assert told in capfd.readouterr().err
    assert not list_stores()


def test_a_store_that_is_half_made_is_not_trained_on(alone, rest, capfd):
    for shard in (0, 2):
        assert start("prepare", *alone, "num_shards=3", f"shard={shard}") == 0
    capfd.readouterr()
    assert start("train", *alone, *rest, "hydra.run.dir=run") == 2
    said = capfd.readouterr().err
    assert "half made: of its parts 0, 2 of num_shards=3 are there" in said
    assert "num_shards=3 shard=1;" in said
    (key,) = re.findall(r"pneumo-ad store clear=(\w+)", said)
    assert start("store") == 0
    assert "half made" in capfd.readouterr().out
    assert start("store", f"clear={key}") == 0
    assert list_stores() == []
    assert start("train", *alone, *rest, "hydra.run.dir=run") == 0
    assert [one.images for one in list_stores()] == [21]


# The command, for which each radiograph takes 20 milliseconds more.
SLOW = [sys.executable, "-c", """
import time
from pneumo_ad.cli import main
from pneumo_ad.data.store import build
read_fitted = build.read_fitted
build.read_fitted = lambda *given: time.sleep(0.02) or read_fitted(*given)
main()
"""]  # fmt: skip


def test_a_build_that_is_killed_leaves_nothing_half_and_the_same_command_goes_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["pneumo-ad"])
    Path("large").mkdir()
    Image.fromarray(radiograph(0)).save("large/0.png")
    for number in range(1, 61):
        shutil.copy("large/0.png", f"large/{number}.png")
    words = ["data=folder", "data.root=large", "image_size=64", "num_shards=2", "lungs=none"]
    cache = Path(os.environ["PNEUMO_AD_CACHE"]) / "stores"
    deadline = time.monotonic() + 120
    with process([*SLOW, "prepare", *words], stderr=subprocess.DEVNULL) as killed:
        while not any(file.stat().st_size > 20 * 64**2 for file in cache.glob("*.parts/0-of-2.partial/images.npy")):
            assert killed.poll() is None, "the build was through before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.02)
    assert [one.damaged for one in list_stores()] == ["half made: no part is whole yet"]
    assert start("prepare", *words) == 0
    assert [one.images for one in list_stores()] == [61]
    assert {entry.suffix for entry in cache.iterdir()} <= {"", ".lock"}
    (folder,) = (one.folder for one in list_stores())
    assert np.load(folder / "images.npy", mmap_mode="r").shape == (61, 64, 64)


def test_help_explains_the_command(capfd):
    assert start("prepare", "--help") == 0
    said = capfd.readouterr().out
    assert "num_shards" in said
    assert "hydra/launcher=joblib" in said
