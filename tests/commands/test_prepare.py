"""`pneumo-ad prepare`: shards built ahead of training, once, whatever happens meanwhile."""

import json
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
from running import COMMAND, TINY, process, start, story, weights

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


def stores():
    """By name, when each file of every store was last written; `store.json` tells when it was opened."""
    return {
        f"{one.folder.name}/{file.name}": file.stat().st_mtime_ns
        for one in list_stores()
        for file in one.folder.glob("*.npy")
    }


def test_a_run_on_shards_is_the_run_on_one_store_to_the_bit(alone, rest, capfd):
    assert start("prepare", *alone, "num_shards=3") == 0
    measured = [*rest, "evaluate=test", "trainer.max_epochs=1"]
    assert start("train", *alone, *measured, "shards=3", "hydra.run.dir=many") == 0
    assert start("train", *alone, *measured, "hydra.run.dir=one") == 0
    assert weights("many") == weights("one")
    assert weights("one")
    for name in ("patches.csv", "images.csv", "split.csv"):
        assert Path("many", name).read_bytes() == Path("one", name).read_bytes()
    many, one = (json.loads(Path(folder, "metrics.json").read_text()) for folder in ("many", "one"))
    assert many.pop("counts/shards_left_out") == 0
    assert many["about"].pop("store") != one["about"].pop("store")
    assert many == one
    assert (story("many")["shards"], story("one")["shards"]) == (3, 1)
    # Other data lie as they lie: the run's shards say nothing of them.
    others = write_set(Path("others"), normal=5, pneumonia=6)
    told = [f"data.root={others}", "data.split=test", "matched=false", "trainer=cpu", "output=of_others"]
    assert start("evaluate", "run=many", *told) == 0  # and no shards of them are asked for
    assert json.loads(Path("of_others/metrics.json").read_text())["about"]["shards_left_out"] == []


def test_what_is_there_is_left_as_it_is(alone, capfd):
    assert start("prepare", *alone, "num_shards=3", "shard=1", "lungs=segmenter") == 0
    said = capfd.readouterr().out
    assert "shard 1 of 3: 7 radiographs" in said
    assert "radiographs in" in said
    assert "lung fields and grey levels in" in said
    before = stores()
    assert start("prepare", *alone, "num_shards=3", "shard=1", "lungs=segmenter") == 0
    assert "was there" in capfd.readouterr().out
    assert stores() == before
    assert start("prepare", *alone, "num_shards=3", "lungs=segmenter", "intensity=lung_field") == 0
    said = capfd.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in said if line.startswith("shard")] == [f"shard {i} of 3" for i in range(3)]
    after = stores()
    assert {name: after[name] for name in before} == before
    assert sum("intensity" in name for name in after) == 3


def test_a_sweep_of_shards_in_two_processes_that_now_and_then_meet_at_one(alone):
    launcher = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    words = ["prepare", "-m", *alone, "lungs=segmenter", "num_shards=2", "shard=0,0,1", *launcher]
    done = subprocess.run([*COMMAND, *words], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert sorted(one.images for one in list_stores()) == [10, 11]
    assert sum("lungs-" in name for name in stores()) == 2
    told = re.findall(r"^shard (\d) of 2", done.stdout, re.MULTILINE)
    assert sorted(told) == list("001")


def test_a_shard_that_fails_does_not_end_the_others(alone, capfd):
    table = pd.read_csv(Path("set/index.csv"))
    Path("set/images", f"{table['image'][0]}.png").write_bytes(b"no image")
    assert start("prepare", "-m", *alone, "num_shards=3", "shard=0,1,2,3") == 1
    said = "".join(capfd.readouterr())
    assert "n000" in said
    assert "shard=3 is out of range" in said
    assert len(list_stores()) == 2
    assert start("prepare", *alone, "num_shards=3", "shard=0", "on_error=skip") == 0
    assert "1 cannot be read and are left out" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["num_shards=3", "shard=3"], "shard=3 is out of range: num_shards=3 has shards 0 to 2; null prepares all"),
        (["num_shards=3", "shard=-1"], "shard=-1 is out of range"),
        (["num_shards=3", "shard=first"], "shard=first is out of range"),
        (["num_shards=0"], "0 shards of 21 radiographs; expected a number from 1 to 21"),
        (["num_shards=22"], "22 shards of 21 radiographs; expected a number from 1 to 21"),
        (["image_size=0"], "image_size=0 must be one side or height and width in pixels"),
        (["on_error=ignore"], "on_error='ignore' is not known"),
        (["fit=crop"], "fit='crop' is not known"),
    ],
)
def test_what_cannot_be_is_refused_in_words(alone, capfd, words, told):
    assert start("prepare", *alone, *words) == 2
    assert told in capfd.readouterr().err
    assert not list_stores()


def test_a_missing_shard_is_refused_or_counted(alone, rest, capfd):
    for shard in (0, 2):
        assert start("prepare", *alone, "num_shards=3", f"shard={shard}") == 0
    capfd.readouterr()
    assert start("train", *alone, *rest, "shards=3", "hydra.run.dir=run") == 2
    assert "1 of 3 shards" in (said := capfd.readouterr().err)
    assert "num_shards=3 shard=1" in said
    brief = [*rest, "trainer.max_epochs=1", "evaluate=test", "matched=false", "missing_shards=skip", "shards=3"]
    with pytest.warns(UserWarning, match=r"1 of 3 shards were not prepared \(1\): 7 of 21 radiographs are left out"):
        assert start("train", *alone, *brief, "hydra.run.dir=less") == 0
    assert story("less")["shards_left_out"] == [1]
    metrics = json.loads(Path("less/metrics.json").read_text())
    assert metrics["counts/shards_left_out"] == 1
    assert metrics["about"]["shards_left_out"] == [1]
    assert len(pd.read_csv("less/split.csv")) == 14


# The command, for which each radiograph takes 20 milliseconds more.
SLOW = [sys.executable, "-c", """
import time
from pneumo_ad.cli import main
from pneumo_ad.data.store import build
read_grey = build.read_grey
build.read_grey = lambda path: time.sleep(0.02) or read_grey(path)
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
        while not any(file.stat().st_size > 20 * 64**2 for file in cache.glob("*.partial/images.npy")):
            assert killed.poll() is None, "the build was through before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.02)
    assert len(list(cache.glob("*.partial"))) == 1
    assert not list_stores()
    assert start("prepare", *words) == 0
    assert not list(cache.glob("*.partial"))
    assert sorted(one.images for one in list_stores()) == [30, 31]
    for one in list_stores():
        assert np.load(one.folder / "images.npy", mmap_mode="r").shape == (one.images, 64, 64)


def test_help_explains_the_command(capfd):
    assert start("prepare", "--help") == 0
    said = capfd.readouterr().out
    assert "num_shards" in said
    assert "hydra/launcher=joblib" in said
