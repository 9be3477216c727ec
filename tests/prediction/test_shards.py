"""A folder judged in shards: the same files, to the byte, as by one process, whatever stops in between."""

import os
from pathlib import Path

import numpy as np
import pytest
from drawn import radiograph
from filelock import FileLock
from PIL import Image
from running import TINY, start

from pneumo_ad.data.shards import stretches
from pneumo_ad.prediction.folder import OutputFolder
from pneumo_ad.prediction.inputs import find_files
from pneumo_ad.prediction.written import LIST, read_predict_json

COUNT = 7  # radiographs; with one that cannot be read, four groups of two

pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture(scope="module")
def run(shared):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PNEUMO_AD_CACHE", str(shared / "cache"))
        tiny = [*TINY, "lungs=segmenter", "trainer.max_epochs=1", "false_alarm_rate=0.3"]
        assert start("train", *tiny, f"hydra.run.dir={shared / 'run'}") == 0
    return shared / "run"


@pytest.fixture(scope="module")
def radiographs(shared):
    """A folder of radiographs, of which one cannot be read, and a file that is none."""
    for seed in range(COUNT):
        save(shared / "in" / ("sub" if seed % 2 else "") / f"{seed:02d}.png", seed)
    (shared / "in" / "bad.png").write_bytes(b"no image")
    (shared / "in" / "notes.txt").write_text("no radiograph")
    return shared / "in"


@pytest.fixture
def command(run, radiographs, monkeypatch):
    monkeypatch.setattr("pneumo_ad.inference.radiographs.GROUP", 2)
    return ["predict", f"run={run}", f"input={radiographs}", "report=true"]


@pytest.fixture
def whole(command, shared):
    """What one process writes."""
    if not (shared / "whole").is_dir():
        assert start(*command, f"output={shared / 'whole'}") == 3
    return content(shared / "whole")


def save(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(radiograph(seed)).save(path)


def content(folder):
    """Bytes of each file of a folder, by its name; the list of pictures in any order."""
    found = {str(file.relative_to(folder)): file.read_bytes() for file in Path(folder).rglob("*") if file.is_file()}
    return {name: sorted(one.splitlines()) if name == LIST else one for name, one in found.items()}


@pytest.mark.parametrize("shards", [2, 4, 8])
def test_shards_write_what_one_process_writes(command, whole, shards, capfd):
    assert start(*command, "-m", "output=out", f"num_shards={shards}", f"shard=range(0,{shards})") == 3
    assert content("out") == whole
    said = capfd.readouterr().out
    assert said.count("still to be judged: shard=") == min(shards, 4) - 1  # four groups: some shards have none
    assert said.count("the tables of all shards are written") == shards - min(shards, 4) + 1
    assert said.count("prediction: out") == 1


def test_the_last_shard_writes_the_tables_whichever_it_is(command, whole, capfd):
    for shard, left in ((2, "0,1,3"), (0, "1,3"), (3, "1")):
        assert start(*command, "output=out", "num_shards=4", f"shard={shard}") == 0
        assert f"still to be judged: shard={left}\n" in capfd.readouterr().out
        assert read_predict_json(Path("out"))["state"] == "unfinished"
        assert not Path("out/predictions.csv").exists()
    assert start(*command, "output=out", "num_shards=4", "shard=1") == 3
    assert content("out") == whole
    assert start(*command, "output=out", "num_shards=4", "shard=1") == 3  # nothing is left to do
    assert start(*command, "output=out", "num_shards=4") == 3
    assert content("out") == whole


def test_a_shard_that_is_killed_goes_on(command, whole, monkeypatch):
    keep = OutputFolder.keep

    def killed(folder, outcomes):
        keep(folder, outcomes)
        raise SystemExit(137)

    shards = [*command, "output=out", "num_shards=2"]
    with monkeypatch.context() as patch:
        patch.setattr(OutputFolder, "keep", killed)
        assert start(*shards, "shard=1") == 137
    (record,) = Path("out/parts/1-of-2").glob("*.json")
    assert "sub/01.png" in record.read_text()
    Path("out/maps/half.png.0123abcd.partial").touch()
    before = stamps("out/overlays")["01.png.png"]
    assert start(*shards, "-m", "shard=0,1") == 3
    assert content("out") == {**whole, "maps/half.png.0123abcd.partial": b""}  # another process may have written it
    assert stamps("out/overlays")["01.png.png"] == before


def stamps(folder):
    return {file.name: file.stat().st_mtime_ns for file in Path(folder).rglob("*.png")}


def test_one_process_goes_on_with_what_shards_began_and_shards_with_what_it_began(command, whole, monkeypatch):
    assert start(*command, "output=out", "num_shards=4", "shard=1") == 0
    assert start(*command, "output=out") == 3
    assert content("out") == whole
    with monkeypatch.context() as patch:
        patch.setattr(OutputFolder, "finish", lambda *_: 1 / 0)  # as good as killed
        with pytest.raises(ZeroDivisionError):
            start(*command, "output=other")
    assert start(*command, "-m", "output=other", "num_shards=2", "shard=0,1") == 3
    assert content("other") == whole


def test_files_that_are_added_are_taken_by_the_same_command(command, tmp_path):
    source = tmp_path / "in"
    for seed in range(5):
        save(source / f"{seed}.png", seed)
    shards = [*(one for one in command if not one.startswith(("input", "report"))), f"input={source}", "output=out"]
    assert start(*shards, "-m", "num_shards=2", "shard=0,1") == 0
    before = stamps("out/maps")
    save(source / "25.png", 25)
    save(source / "a" / "26.png", 26)
    assert start(*shards, "-m", "num_shards=2", "shard=0,1") == 0
    after = stamps("out/maps")
    assert set(after) - set(before) == {"25.png.png", "26.png.png"}
    assert {name: after[name] for name in before} == before
    assert len(Path("out/predictions.csv").read_text().splitlines()) == 8
    assert start(*shards) == 0  # one process finds nothing to do
    assert stamps("out/maps") == after


def test_a_file_that_changes_is_judged_again_by_its_shard_alone(command, tmp_path):
    source = tmp_path / "in"
    for seed in range(5):
        save(source / f"{seed}.png", seed)
    shards = [*(one for one in command if not one.startswith(("input", "report"))), f"input={source}", "output=out"]
    assert start(*shards, "num_shards=2", "shard=0") == 0
    save(source / "0.png", 9)
    os.utime(source / "0.png", (0, 0))
    assert start(*shards, "num_shards=2", "shard=1") == 0
    assert read_predict_json(Path("out"))["state"] == "unfinished"
    assert start(*shards, "num_shards=2", "shard=0") == 0
    assert read_predict_json(Path("out"))["state"] == "finished"
    assert start(*shards, "output=other") == 0
    assert Path("out/predictions.csv").read_bytes() == Path("other/predictions.csv").read_bytes()


def test_normals_of_the_site_are_scored_once_for_all_shards(command, tmp_path, monkeypatch):
    from pneumo_ad.prediction import site_calibration

    for seed in range(40, 45):
        save(tmp_path / "normals" / f"{seed}.png", seed)
    calls, made = [], site_calibration._made
    monkeypatch.setattr(site_calibration, "_made", lambda *given: calls.append(1) or made(*given))
    site = [*command, f"calibrate={tmp_path / 'normals'}"]
    assert start(*site, "output=one") == 3
    assert len(calls) == 1
    assert start(*site, "-m", "output=out", "num_shards=3", "shard=range(0,3)") == 3
    assert content("out") == content("one")
    assert len(calls) == 2


def test_a_shard_at_work_shuts_others_out_of_itself_alone(command, whole, capfd):
    shards = [*command, "output=out", "num_shards=2"]
    assert start(*shards, "shard=0") == 0
    with FileLock("out/parts/1-of-2.lock"):
        Path("out/parts/1-of-2").mkdir()
        assert start(*shards, "shard=1") == 2
        assert "another predict is at shard 1 of 2 there" in capfd.readouterr().err
        assert start(*command, "output=out") == 2
        assert "another predict is writing there" in capfd.readouterr().err
        assert start(*shards, "shard=0") == 0
    with FileLock("out/.lock"):
        pass
    assert start(*shards, "shard=1") == 3
    assert content("out") == whole


def test_pictures_of_shards_are_not_taken_for_radiographs(command):
    assert start(*command, "output=out", "num_shards=2", "shard=0") == 0
    save(Path("one.png"), 1)
    radiographs = [file.name for file in find_files(Path(), Path("elsewhere")) if file.kind == "radiograph"]
    assert radiographs == ["one.png"]
    assert len(stamps("out")) == 4


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (["num_shards=4", "shard=4"], "shard=4 is out of range: num_shards=4 has shards 0 to 3; null takes all"),
        (["num_shards=4", "shard=-1"], "shard=-1 is out of range"),
        (["shard=1"], "shard=1 is out of range: num_shards=1 has shards 0 to 0"),
        (["num_shards=4", "shard=first"], "shard=first is not known; expected a whole number from 0, or null"),
        (["num_shards=0"], "num_shards=0 is not known; expected a whole number, at least 1"),
        (["num_shards=9"], f"9 shards of {COUNT + 1} images; expected a number from 1 to {COUNT + 1}"),
        (["num_shards=2", "shard=0", "overwrite=true"], "a shard would delete what the others wrote"),
        (["num_shards=4", "shard=9", "-m"], "shard=9 is out of range"),
        (["num_shards=4", "shard=x", "-m"], "shard=x is not known"),
        (["num_shard=4", "shard=0,1", "-m"], "did you mean num_shards=4?"),
    ],
)
def test_wrong_shards_are_refused_in_a_line(command, wrong, words, capfd):
    assert start(*command, "output=out", *wrong) in (1, 2)
    said = capfd.readouterr().err
    assert words in said
    assert "Traceback" not in said
    assert not Path("out").exists()


def test_stretches_are_what_they_say():
    for length in range(1, 30):
        for shards in range(1, length + 1):
            parts = stretches(length, shards)
            assert np.concatenate(parts).tolist() == list(range(length))
            assert max(map(len, parts)) - min(map(len, parts)) <= 1
