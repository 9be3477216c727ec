"""Folders judged end to end: every file in exactly one place, the same as an evaluation, going on where it stopped."""

import csv
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from drawn import radiograph
from PIL import Image
from running import TINY, process, start

from pneumo_ad.errors import DataError, printable
from pneumo_ad.prediction import pipeline
from pneumo_ad.prediction.folder import OutputFolder
from pneumo_ad.prediction.inputs import find_files
from pneumo_ad.prediction.map_files import read_map, write_map
from pneumo_ad.prediction.written import LIST

HOSTILE = [
    "a b.png", "it's.png", 'q"q.png', "<b>&amp;.png", "=1+1.png", "Лёгкие 肺.png", "line\nfeed.png", "cr\rhere.png",
    "a,b;c.png",
]  # fmt: skip
LONG = "l" * 246 + ".png"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run, evaluated, and the cache it filled."""
    folder = tmp_path_factory.mktemp("predict") / "run"
    monkey = pytest.MonkeyPatch()
    monkey.setenv("PNEUMO_AD_CACHE", str(folder.parent / "cache"))
    arguments = [*TINY, "evaluate=test", "lungs=segmenter", "trainer.max_epochs=1"]
    # 0.3: the three held-out normals of so small a run can promise no less
    assert start("train", *arguments, "false_alarm_rate=0.3", f"hydra.run.dir={folder}") == 0
    monkey.undo()
    return folder


@pytest.fixture
def predict(run, monkeypatch, tmp_path, capsys, caplog):
    """Runs the command; its exit status and what it said."""
    caplog.set_level("INFO")
    monkeypatch.setenv("PNEUMO_AD_CACHE", str(run.parent / "cache"))

    def go(*arguments, **keys):
        keys = {"run": run, "input": tmp_path / "in", "output": tmp_path / "out"} | keys
        capsys.readouterr()
        caplog.clear()
        status = start("predict", *arguments, *(f"{key}={value}" for key, value in keys.items()))
        return status, "".join(capsys.readouterr()) + caplog.text

    return go


def save(path, seed=0, depth=8):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = radiograph(seed)
    Image.fromarray(pixels if depth == 8 else pixels.astype(np.uint16) * 16).save(path)


def table(folder, name="predictions"):
    """A table as Python's csv reads it: names and all."""
    with (Path(folder) / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


def mixture(folder):
    """Radiographs that can be judged, files that cannot be read, and files that are none."""
    good = {"a.png", "a.jpg", "sub/a.png", "sub/deep/a.jpeg", "deep16.png", *HOSTILE, LONG}
    for seed, name in enumerate(sorted(good)):
        save(folder / name, seed, depth=16 if name == "deep16.png" else 8)
    whole = (folder / "a.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.jpg").touch()
    (folder / "words.png").write_text("no picture")
    Image.fromarray(radiograph(0)[:6]).save(folder / "flat.png")
    (folder / "broken.png").symlink_to("nowhere.png")
    bad = {"cut.png", "empty.jpg", "words.png", "flat.png", "broken.png"}
    (folder / "notes.txt").write_text("a note")
    (folder / "suffixless").write_bytes(b"no DICOM")
    (folder / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
    (folder / "sub" / ".DS_Store").touch()
    (folder / "sub" / "._a.png").touch()
    (folder / "loop").symlink_to(folder)
    good = {printable(name) for name in good}
    return good, bad, {"notes.txt", "suffixless", "DICOMDIR", "sub/.DS_Store", "sub/._a.png", "loop"}


def test_every_file_ends_in_exactly_one_place(predict, tmp_path):
    good, bad, ignored = mixture(tmp_path / "in")
    status, said = predict()
    assert status == 3
    assert f"5 files could not be read: {tmp_path / 'out' / 'failed.csv'}" in said
    predicted, failed = table(tmp_path / "out"), table(tmp_path / "out", "failed")
    assert set(predicted) == good
    assert {name for name, row in failed.items() if row["kind"] == "unreadable"} == bad
    assert {name for name, row in failed.items() if row["kind"] == "ignored"} == ignored
    assert all(row["reason"] for row in failed.values())
    assert "smaller than a patch of 8" in failed["flat.png"]["reason"]
    counts = json.loads((tmp_path / "out" / "predict.json").read_text())["counts"]
    assert (counts["files"], counts["predicted"], counts["unreadable"], counts["ignored"]) == (26, 15, 5, 6)
    # every picture is there, and is the file's own
    for kind in ("map", "overlay"):
        places = [tmp_path / "out" / row[kind] for row in predicted.values()]
        assert len(set(places)) == len(good)
        assert all(place.is_file() for place in places)
    assert predicted["sub/a.png"]["map"] == "maps/sub/a.png.png"
    assert set(pd.read_csv(tmp_path / "out" / "predictions.csv")["file"]) == good
    assert not list((tmp_path / "out").rglob("*.partial"))


def test_scores_and_decisions_equal_those_of_an_evaluation(predict, run, tmp_path):
    found = pd.read_csv(run / "images.csv").set_index("image")
    (tmp_path / "in").mkdir()
    for name, path in found["path"].items():
        (tmp_path / "in" / f"{name}.png").symlink_to(path)
    assert predict(maps="none", overlays="false")[0] == 0
    ours = pd.read_csv(tmp_path / "out" / "predictions.csv").set_index("file")
    ours.index = ours.index.str.removesuffix(".png")
    ours = ours.loc[found.index]
    for column in ("score", "p_value", "lung_area"):
        np.testing.assert_allclose(ours[column], found[column], rtol=1e-4)
    for column in ("height", "width", "anomalous", "windows_healthy", "windows_opacity", "windows_outside"):
        assert (ours[column] == found[column]).all(), column
    assert ours["anomalous"].notna().all()
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.name != ".lock") == [
        "done.json", "failed.csv", "predict.json", "predictions.csv", "written.txt",
    ]  # fmt: skip


def test_a_map_comes_back_from_its_file(predict, tmp_path):
    save(tmp_path / "in" / "a.png")
    assert predict(maps="png")[0] == predict(maps="npy", output=tmp_path / "npy")[0] == 0
    row = table(tmp_path / "out")["a.png"]
    png, npy = read_map(tmp_path / "out" / row["map"]), read_map(tmp_path / "npy" / "maps" / "a.png.npy")
    low, high = float(row["map_low"]), float(row["map_high"])
    assert png.shape == npy.shape == (64, 64)
    assert np.isclose([low, high], [np.nanmin(npy), np.nanmax(npy)], rtol=1e-5).all()
    np.testing.assert_allclose(png, npy, atol=(high - low) / 65535, rtol=0)
    with Image.open(tmp_path / "out" / row["overlay"]) as drawn:
        assert drawn.mode == "RGB"


@pytest.mark.parametrize("values", [np.full((3, 4), np.nan), np.full((3, 4), 2.5), np.array([[np.nan, -1.0, 7.0]])])
@pytest.mark.parametrize("suffix", [".png", ".npy"])
def test_maps_without_windows_or_contrast_survive(values, suffix, tmp_path):
    write_map(tmp_path / f"m{suffix}", values.astype(np.float32), "levels")
    np.testing.assert_allclose(read_map(tmp_path / f"m{suffix}"), values, atol=1e-3)


def test_what_was_stopped_goes_on_and_gives_the_same_tables(predict, tmp_path, monkeypatch):
    mixture(tmp_path / "in")
    monkeypatch.setattr("pneumo_ad.inference.radiographs.GROUP", 4)  # files judged together
    whole, said = predict(output=tmp_path / "whole")
    assert whole == 3
    draw, drawn = pipeline.Pictures.write, []

    def stopped(self, row, *rest):
        if len(drawn) == 6:
            raise KeyboardInterrupt
        drawn.append(row["file"])
        return draw(self, row, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(pipeline.Pictures, "write", stopped)
        status, said = predict()
    assert status == 130
    assert "the same command goes on" in said
    assert json.loads((tmp_path / "out" / "predict.json").read_text())["state"] == "unfinished"
    assert not (tmp_path / "out" / "predictions.csv").exists()
    status, said = predict()
    assert status == 3
    assert "going on: 4 of 19 files are done" in said
    for name in ("predictions", "failed"):
        assert (tmp_path / "out" / f"{name}.csv").read_text() == (tmp_path / "whole" / f"{name}.csv").read_text()
    assert not (tmp_path / "out" / "parts").exists()


FILES = 16
# The command, four files at a time and not too quick to be ended between them.
SLOW = [sys.executable, "-c", """
import time
from pneumo_ad.cli import main
from pneumo_ad.prediction import pipeline
from pneumo_ad.inference import radiographs
radiographs.GROUP, decode = 4, pipeline.decode
pipeline.decode = lambda *arguments: time.sleep(0.05) or decode(*arguments)
main()
"""]  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_process_that_was_ended_leaves_what_the_next_one_goes_on_with(predict, run, tmp_path, number):
    for seed in range(FILES):
        save(tmp_path / "in" / f"{seed:03d}.png", seed)
    told = {"overlays": "false", "maps": "none"}
    arguments = [f"run={run}", f"input={tmp_path / 'in'}", f"output={tmp_path / 'out'}"]
    arguments += [f"{key}={value}" for key, value in told.items()]
    parts, deadline = tmp_path / "out" / "parts", time.monotonic() + 120
    with process([*SLOW, "predict", *arguments], stderr=subprocess.PIPE, text=True) as ended:
        while not (list(parts.glob("*.json")) or (tmp_path / "out" / "predictions.csv").exists()):
            assert time.monotonic() < deadline
            assert ended.poll() is None, ended.stderr.read()
            time.sleep(0.01)
        ended.send_signal(number)
        said = ended.communicate(timeout=120)[1]
    assert ended.returncode == (143 if number == signal.SIGTERM else -number)
    assert "Traceback" not in said
    status, said = predict(**told)
    assert status == 0
    assert "going on: " in said
    assert set(table(tmp_path / "out")) == {f"{seed:03d}.png" for seed in range(FILES)}


def test_what_a_process_left_that_was_killed_while_it_wrote_is_deleted(predict, run, tmp_path):
    """At its first file already, before `predict.json` says whose folder it is."""
    save(tmp_path / "in" / "ward" / "a.png", 1)
    left = [tmp_path / "out" / f"{name}.0123abcd.partial" for name in ("predict.json", "maps/ward/a.png.png")]
    for file in left[:1]:
        file.parent.mkdir()
        file.touch()
    assert predict()[0] == 0
    assert not list((tmp_path / "out").rglob("*.partial"))
    left[1].touch()
    assert predict()[0] == 0
    assert not list((tmp_path / "out").rglob("*.partial"))


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_process_killed_at_any_step_of_its_beginning_may_begin_again(predict, tmp_path, monkeypatch, overwrite):
    save(tmp_path / "in" / "a.png", 1)
    keys = {"overlays": "false"} | ({"overwrite": "true"} if overwrite else {})
    if overwrite:
        assert predict(overlays="false")[0] == 0
    begun = ["shutil.rmtree"] if overwrite else []
    for step in ("written.write_list", *begun, "OutputFolder._delete_records"):
        with monkeypatch.context() as patch:
            patch.setattr(f"pneumo_ad.prediction.folder.{step}", lambda *_, **__: 1 / 0)  # as good as killed
            with pytest.raises(ZeroDivisionError):
                predict(**keys)
        assert predict(**keys)[0] == 0


def test_the_same_command_takes_what_is_new_and_what_changed_and_keeps_what_is_gone(predict, tmp_path):
    for name in ("a.png", "b.png", "c.png"):
        save(tmp_path / "in" / name)
    assert predict()[0] == 0
    before = table(tmp_path / "out")
    assert "nothing new" in predict()[1]
    assert table(tmp_path / "out") == before
    save(tmp_path / "in" / "b.png", 7)
    save(tmp_path / "in" / "d.png", 8)
    (tmp_path / "in" / "c.png").unlink()
    status, said = predict()
    after = table(tmp_path / "out")
    assert status == 0
    assert "1 of 3 files are done" in said
    assert "1 files that were judged before are no longer there" in said
    assert set(after) == {"a.png", "b.png", "c.png", "d.png"}
    assert after["a.png"] == before["a.png"]
    assert after["b.png"]["score"] != before["b.png"]["score"]


def test_another_prediction_and_others_files_are_not_written_over_unasked(predict, tmp_path):
    save(tmp_path / "in" / "a.png")
    save(tmp_path / "in2" / "b.png")
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    status, said = predict()
    assert status == 2
    assert "is not empty (thesis.txt) and predict did not write it" in said
    assert predict(overwrite="true")[0] == 0
    status, said = predict(input=tmp_path / "in2")
    assert status == 2
    assert f"input={tmp_path / 'in'} there, input={tmp_path / 'in2'} now" in said
    status, said = predict("stride=4")
    assert status == 2
    assert "its weights, settings or held-out normals" in said
    assert "overrides=[] there, overrides=['stride=4'] now" in said
    (out / "maps" / "note.txt").write_text("mine too")
    assert predict(input=tmp_path / "in2", overwrite="true", overlays="false")[0] == 0
    assert set(table(out)) == {"b.png"}
    assert not (out / "overlays").exists()
    assert not (out / "maps" / "a.png.png").exists()
    assert ((out / "thesis.txt").read_text(), (out / "maps" / "note.txt").read_text()) == ("mine", "mine too")


def test_output_within_the_input_is_not_read_again(predict, tmp_path):
    save(tmp_path / "in" / "a.png")
    assert predict(output=tmp_path / "in" / "out")[0] == 0
    assert "nothing new" in predict(output=tmp_path / "in" / "out")[1]
    assert set(table(tmp_path / "in" / "out")) == {"a.png"}
    assert table(tmp_path / "in" / "out", "failed") == {}


def test_one_file_alone(predict, tmp_path):
    save(tmp_path / "in" / "a.png")
    assert predict(input=tmp_path / "in" / "a.png")[0] == 0
    assert set(table(tmp_path / "out")) == {"a.png"}


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"input": ""}, "input=... must be given"),
        ({"output": ""}, "output=... must be given"),
        ({"input": "nowhere"}, "nowhere: no such file or folder"),
        ({"input": "texts"}, "it holds 2 .txt, 1 without suffix"),
        ({"output": "in"}, "name an output that does not hold the input"),
        ({"output": "in/a.png"}, "cannot be written to"),
        ({"maps": "tiff"}, "expected png, npy or none"),
        ({"overlays": "perhaps"}, "expected true or false"),
        ({"data": "masks"}, "predict reads the files of input="),
        ({"net": "unet"}, "has no effect on predict"),
        ({"stride": "0"}, "stride=0 must lie between 1 and"),
        ({"run": "in"}, "not a run folder"),
    ],
)
def test_mistakes_are_told_in_words(predict, tmp_path, monkeypatch, keys, words):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "in" / "a.png")
    (tmp_path / "texts").mkdir()
    for name in ("a.txt", "b.txt", "README"):
        (tmp_path / "texts" / name).touch()
    status, said = predict(**keys)
    assert status == 2
    assert words in said
    assert "Traceback" not in said


def test_without_its_data_a_run_judges_by_the_normals_that_it_kept(predict, run, tmp_path, monkeypatch):
    monkeypatch.setenv("PNEUMO_AD_CACHE", str(tmp_path / "empty"))
    save(tmp_path / "in" / "a.png")
    status, _ = predict()
    assert status == 0
    assert table(tmp_path / "out")["a.png"]["anomalous"] in ("True", "False")
    assert not (tmp_path / "empty" / "stores").exists()


def test_few_radiographs_are_in_memory(predict, tmp_path, monkeypatch):
    for seed in range(60):
        save(tmp_path / "in" / f"{seed}.png", seed)
    alive, most = set(), []
    made = pipeline.decode

    class Counted:
        def __init__(self, decoded):
            self.decoded = decoded
            alive.add(id(self))
            most.append(len(alive))

        def __getattr__(self, name):
            return getattr(self.decoded, name)

        def __del__(self):
            alive.discard(id(self))

    monkeypatch.setattr("pneumo_ad.inference.radiographs.GROUP", 4)  # files judged together
    monkeypatch.setattr(pipeline, "decode", lambda *arguments: Counted(made(*arguments)))
    assert predict()[0] == 0
    assert len(most) == 60
    assert max(most) <= 3 * 4 + 1


def test_the_report_shows_what_was_predicted(predict, tmp_path):
    for seed, name in enumerate(["a.png", "<b>.png", "sub/Лёгкие.png"]):
        save(tmp_path / "in" / name, seed)
    assert predict(report="true")[0] == 0
    page = (tmp_path / "out" / "report.html").read_text()
    assert "a.png" in page
    assert "<b>.png" not in page
    assert predict(overwrite="true")[0] == 0
    assert not (tmp_path / "out" / "report.html").exists()


def test_the_path_of_the_report_is_the_last_line(run, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PNEUMO_AD_CACHE", str(run.parent / "cache"))
    out = tmp_path / "out"
    save(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "bad.png").write_text("no picture")
    with redirect_stderr(sys.stdout):
        assert start("predict", f"run={run}", f"input={tmp_path / 'in'}", f"output={out}", "report=true") == 3
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == f"report: {out / 'report.html'}"
    assert any("1 file could not be read" in line for line in said)
    assert not any("%|" in line for line in said), "no bar without a terminal"
    page = (out / "report.html").read_text()
    assert "<title>Whether one radiograph looks anomalous</title>" in page
    assert '"marked":"Marked: above' in page


def test_overwriting_never_takes_what_predict_did_not_write(predict, tmp_path):
    save(tmp_path / "in" / "a.png")
    for name in ("predictions.csv", "report.html", "parts/mine.json", "maps/mine.png"):
        out = tmp_path / f"out {name.replace('/', ' ')}"
        (out / name).parent.mkdir(parents=True)
        (out / name).write_text("mine")
        status, said = predict(output=out, overwrite="true")
        assert status == 2
        assert f"holds {name.partition('/')[0]}, which predict did not write" in said
        assert (out / name).read_text() == "mine"


def test_a_damaged_story_can_be_overwritten_as_it_says(predict, tmp_path):
    save(tmp_path / "in" / "a.png")
    out = tmp_path / "out"
    assert predict()[0] == 0
    (out / "predict.json").write_text("{")
    status, said = predict()
    assert status == 2
    assert "add overwrite=true" in said
    assert predict(overwrite="true")[0] == 0
    assert set(table(out)) == {"a.png"}


def test_a_file_stays_in_one_place_however_it_changes(predict, tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    for name in ("fine.png", "breaks.png", "mended.png", "linked.png"):
        save(folder / name)
    (folder / "mended.png").write_text("no picture")
    (folder / "bad.png").write_text("no picture")
    assert predict(report="true")[0] == 3
    assert (out / "report.html").is_file()
    (folder / "breaks.png").write_text("no picture any more")
    save(folder / "mended.png", seed=3)
    (folder / "linked.png").unlink()
    (folder / "linked.png").symlink_to("nowhere.png")
    (folder / "bad.png").unlink()
    status, said = predict()
    assert status == 3
    assert set(table(out)) == {"fine.png", "mended.png"}
    assert set(table(out, "failed")) == {"breaks.png", "linked.png"}
    assert {file.name for file in (out / "overlays").iterdir()} == {"fine.png.png", "mended.png.png"}
    assert "report.html did not show" in said
    assert not (out / "report.html").exists()


def test_pictures_of_another_prediction_are_no_radiographs(predict, tmp_path):
    save(tmp_path / "in" / "a.png")
    save(tmp_path / "in" / "line\nfeed \udcff.png")
    first = tmp_path / "in" / "first"
    assert predict(output=first)[0] == 0
    listed = dict(reversed(line.split("  ", 1)) for line in (first / LIST).read_text().splitlines())
    pictures = [path for kind in ("maps", "overlays") for path in (first / kind).iterdir()]
    assert listed == {
        path.relative_to(first).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in pictures
    }
    save(first / "mine.png")
    save(first / "maps" / "put here.png")
    save(first / "overlays" / "a.png.png", 5)
    status, said = predict(output=tmp_path / "in" / "second")
    assert status == 0
    names = {"a.png", r"line\nfeed \udcff.png"}
    second = tmp_path / "in" / "second"
    assert set(table(second)) == names | {"first/mine.png", "first/maps/put here.png", "first/overlays/a.png.png"}
    failed = table(second, "failed")
    written = {name for name, row in failed.items() if row["reason"] == "written by predict"}
    assert written == {f"first/{name}" for name in listed} - {"first/overlays/a.png.png"}
    assert {row["kind"] for row in failed.values()} == {"ignored"}
    assert {"first/predictions.csv", "first/predict.json"} < set(failed)
    assert "2 images below maps/, overlays/, dicom/ are not those that predict lists there" in said


def test_an_output_of_an_earlier_version_is_read_with_a_warning_and_listed_when_it_goes_on(predict, tmp_path):
    save(tmp_path / "in" / "a.png")
    first = tmp_path / "in" / "first"
    assert predict(output=first)[0] == 0
    listed = (first / LIST).read_text()
    (first / LIST).unlink()
    files = find_files(tmp_path / "in", tmp_path / "out")
    assert [file.name for file in files if file.kind == "radiograph"] == [
        "a.png", "first/maps/a.png.png", "first/overlays/a.png.png",
    ]  # fmt: skip
    before = table(first)
    status, said = predict(output=first)
    assert status == 0
    assert "nothing new" in said
    assert table(first) == before
    assert (first / LIST).read_text() == listed
    (first / LIST).write_text(listed[: len(listed) // 2])  # cut off by a kill
    assert predict(output=first)[0] == 0
    assert (first / LIST).read_text() == listed
    files = find_files(tmp_path / "in", tmp_path / "out")
    assert [file.name for file in files if file.kind == "radiograph"] == ["a.png"]


def fifo(path):
    os.mkfifo(path)


DEEP = "[" * 100_000
MARKERS = {
    "a FIFO": fifo,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a link to a story": lambda path: path.symlink_to(path.parent.parent / "story.json"),
    "one key": lambda path: path.write_text('{"asked": {}}'),
    "another type": lambda path: path.write_text('{"asked": [], "state": "finished"}'),
    "a list": lambda path: path.write_text('["asked"]'),
    "deep": lambda path: path.write_text(DEEP),
    "deep and closed": lambda path: path.write_text(
        '{"asked": {}, "state": "", "x": ' + DEEP + DEEP.replace("[", "]") + "}"
    ),
    "a number too long": lambda path: path.write_text('{"asked": {}, "state": "", "x": ' + "9" * 10_000 + "}"),
    "too large": lambda path: path.write_text('{"asked": {}, "state": "finished"}' + " " * 2**20),
    "empty": lambda path: path.touch(),
    "binary": lambda path: path.write_bytes(bytes(range(256))),
    "a folder": lambda path: path.mkdir(),
}


def kinds_of(folder):
    return {file.name: file.kind for file in find_files(folder, folder / "out")}


def marked(folder, *names):
    """A folder that predict may have written, beside a radiograph; the digest of its last picture."""
    save(folder / "x.png", 9)
    (folder / "sub").mkdir()
    (folder / "sub" / "predict.json").write_text('{"asked": {}, "state": "finished"}')
    for name in names:
        save(folder / "sub" / name)
    return hashlib.sha256((folder / "sub" / names[-1]).read_bytes()).hexdigest()


@pytest.mark.parametrize("marker", MARKERS)
def test_what_is_no_story_of_predict_hides_nothing(tmp_path, marker):
    digest, place = marked(tmp_path / "in", "maps/a.png"), tmp_path / "in" / "sub"
    (place / LIST).write_text(f"{digest}  maps/a.png\n")
    assert kinds_of(tmp_path / "in")["sub/maps/a.png"] == "ignored"
    (place / "predict.json").rename(tmp_path / "in" / "story.json")
    MARKERS[marker](place / "predict.json")
    kinds = kinds_of(tmp_path / "in")
    assert kinds["sub/maps/a.png"] == "radiograph"
    assert kinds.get("sub/predict.json", "ignored") == "ignored"


@pytest.mark.parametrize(
    "listed",
    ["maps/a.png", "0" * 64 + "  maps/a.png", "{digest}  ../sub/maps/a.png", "{digest}  maps/b.png", "{digest}  b.png"],
)
def test_a_list_hides_nothing_but_what_it_names_with_its_digest(tmp_path, listed):
    digest, place = marked(tmp_path / "in", "maps/a.png", "b.png"), tmp_path / "in" / "sub"
    (place / LIST).write_text(listed.format(digest=digest) + "\n")
    kinds = kinds_of(tmp_path / "in")
    assert kinds["sub/maps/a.png"] == kinds["sub/b.png"] == "radiograph"
    (place / LIST).write_text(f"{digest}  maps/a.png\n")
    kinds = kinds_of(tmp_path / "in")
    assert (kinds["sub/maps/a.png"], kinds["sub/b.png"]) == ("ignored", "radiograph")


@pytest.mark.parametrize("place", [fifo, lambda path: path.symlink_to("/dev/zero"), lambda path: path.mkdir()])
def test_a_list_that_is_no_file_is_none(tmp_path, place):
    marked(tmp_path / "in", "maps/a.png")
    place(tmp_path / "in" / "sub" / LIST)
    assert kinds_of(tmp_path / "in")["sub/maps/a.png"] == "radiograph"


def test_notes_of_a_stranger_delete_nothing_outside(tmp_path):
    out, outside = tmp_path / "out", tmp_path / "outside.png"
    for file in (outside, tmp_path / "linked" / "b.png", out / "mine.png", out / "overlays" / "c.png"):
        save(file)
    (out / "maps").symlink_to(tmp_path / "linked")
    (out / "predict.json").write_text('{"asked": {}, "state": "finished"}')
    names = ["../outside.png", "maps/../../outside.png", str(outside), "mine.png", "maps/b.png", "overlays/c.png"]
    notes = [
        {"file": name, "stamp": [0, 0], "reason": ""}
        | {"row": {"file": name, "map": name, "overlay": None, "warnings": "", "anomalous": None}}
        for name in names
    ]
    (out / "done.json").write_text(json.dumps({"files": notes}))
    OutputFolder(out, {}, overwrite=True)
    assert all(file.is_file() for file in (outside, out / "mine.png", tmp_path / "linked" / "b.png"))
    assert not (out / "overlays").exists()  # what is its own is deleted
    for notes in ('{"files": ' + DEEP + DEEP.replace("[", "]") + "}", '{"files": [1]}', '{"files": [{"file": 1}]}'):
        (out / "done.json").write_text(notes)
        with pytest.raises(DataError, match=r"done\.json: .*; overwrite=true begins anew"):
            OutputFolder(out, {}, overwrite=False)


@pytest.mark.parametrize("name", [5, ["a.png"], "maps/a\0.png"])
def test_a_record_of_pictures_that_are_no_names_can_be_overwritten(tmp_path, name):
    out = tmp_path / "out"
    out.mkdir()
    (out / "predict.json").write_text('{"asked": {}, "state": "finished"}')
    row = {"file": "a", "map": name, "warnings": "", "anomalous": None}
    (out / "done.json").write_text(json.dumps({"files": [{"file": "a", "stamp": [0, 0], "reason": "", "row": row}]}))
    with pytest.raises(DataError, match=r"done\.json: .*; overwrite=true begins anew"):
        OutputFolder(out, {}, overwrite=False)
    assert OutputFolder(out, {}, overwrite=True).predicted == []


def test_linked_folders_are_judged_and_second_names_are_told(predict, tmp_path):
    save(tmp_path / "in" / "a.png")
    save(tmp_path / "elsewhere" / "b.png", 1)
    (tmp_path / "in" / "ward").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "again").symlink_to(tmp_path / "elsewhere")
    os.link(tmp_path / "in" / "a.png", tmp_path / "in" / "c.png")
    fifo(tmp_path / "in" / "fifo.png")
    assert predict()[0] == 0
    assert set(table(tmp_path / "out")) == {"a.png", "again/b.png"}
    assert {name: row["reason"] for name, row in table(tmp_path / "out", "failed").items()} == {
        "c.png": "the same file as a.png", "ward": "the same folder as again", "fifo.png": "no regular file",
    }  # fmt: skip


def test_names_that_are_no_text_are_written_out(predict, tmp_path):
    folder = tmp_path / "w\udcfford"
    save(folder / "a.png")
    (folder / "bad\udcff.png").write_text("no picture")
    assert predict(input=folder, report="true")[0] == 3
    assert set(table(tmp_path / "out", "failed")) == {r"bad\udcff.png"}
    assert (tmp_path / "out" / "report.html").is_file()
