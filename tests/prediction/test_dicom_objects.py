"""`dicom=true`: objects of each DICOM file, lying where its pixels lie, written whole, and never taken for input."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicoms import write_study
from drawn import radiograph
from PIL import Image
from running import start
from servers import orthanc

from pneumo_ad.dicom.equipment import Equipment
from pneumo_ad.errors import ConfigError
from pneumo_ad.inference.predictor import Calibration, Prediction
from pneumo_ad.labels import OPACITY, OUTSIDE, RADIOGRAPH, UNKNOWN
from pneumo_ad.metrics.thresholds import LIKELIEST, Thresholds
from pneumo_ad.patches import PatchGrid
from pneumo_ad.prediction.dicom_objects import OBJECTS, DicomObjects, find_dicom
from pneumo_ad.prediction.folder import OutputFolder, writable
from pneumo_ad.prediction.inputs import find_files
from pneumo_ad.prediction.pictures import Pictures
from pneumo_ad.prediction.pixel_kinds import pixel_kinds
from pneumo_ad.prediction.predict import judge_files, predict_folder, write_tables

SIZE, PATCH = (64, 64), 4
NORMALS, ONE = np.linspace(0, 0.5, 99), Thresholds(0.5)


class Bright:
    """Takes what is displayed bright for an opacity, and the left half of the radiograph for lung."""

    view, identity, vocabulary = "image", "bright", RADIOGRAPH

    def __init__(self, fit="squash", thresholds=ONE, told="map"):
        self.grid, self.fit, self.notes, self.told = PatchGrid(SIZE, PATCH, PATCH), fit, [], told
        self.standard = Calibration("Bright", "of white", NORMALS, 0.05, thresholds, (0.1, 0.5), highest=1.0)

    def __call__(self, images, content):
        maps = images.astype(np.float32) / 255
        fields = content.copy()
        fields[..., SIZE[1] // 2 :] = 0
        windows = self.grid.window_shares((maps > 0.5).astype(np.uint8)).astype(np.float32)
        pixels = np.where(maps > 0.5, OPACITY, OUTSIDE).astype(np.int8)
        of_windows = np.where(windows > 0.5, OPACITY, OUTSIDE).astype(np.int8)
        told = {"map": (None, None), "pixels": (of_windows, pixels), "windows": (of_windows, None)}[self.told]
        scores = maps.mean(axis=(1, 2)).astype(float)
        return Prediction.of(fields, maps, windows, scores, content, self.grid, *told)


def judge(source, output, model=None, overwrite=False):
    """Predict with such a model; rows by name."""
    model, files = model or Bright(), find_files(source, output)
    with writable(output):
        equipment = Equipment("bright", model.identity)
        objects = DicomObjects(output, equipment, model.standard, model.grid, find_dicom(files))
        into = OutputFolder(output, {"judge": model.identity}, overwrite)
        judge_files(model, files, into, Pictures(output, model.standard, "none", False, objects))
        write_tables(model, files, into)
    return table(output)


def table(output, name="predictions"):
    with (output / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


def objects_of(output):
    files = (path for path in (output / "dicom").rglob("*.dcm") if path.is_file())
    return sorted(path.relative_to(output / "dicom").as_posix() for path in files)


def said(row):
    """Warnings on DICOM objects; the others are of what was judged."""
    return [words for words in row["warnings"].split("; ") if "DICOM objects" in words]


def texts(path):
    """Texts of a report."""
    return [element.value for element in pydicom.dcmread(path).iterall() if element.keyword == "TextValue"]


def segments(path):
    """Label of a segment -> (H, W) bool."""
    made = pydicom.dcmread(path)
    frames = made.pixel_array.reshape(-1, made.Rows, made.Columns)
    return {item.SegmentLabel: frame == 1 for item, frame in zip(made.SegmentSequence, frames, strict=True)}


def rectangle(size, grown=(0, 0)):
    """A mask of a rectangle off the middle, grown by rows and columns on all sides."""
    (height, width), (rows, columns) = size, grown
    there = np.zeros(size, dtype=bool)
    there[height // 8 - rows : height // 2 + rows, width // 6 - columns : width // 3 + columns] = True
    return there


def with_rectangle(size, inverted=False):
    """Stored pixels of a dark radiograph with that rectangle bright."""
    light = np.where(rectangle(size), 230, 20)
    return (255 - light if inverted else light).astype(np.uint8)


def overlap(one, other):
    return (one & other).sum() / (one | other).sum()


@pytest.mark.parametrize("size", [(256, 256), (128, 400), (400, 128), (203, 151), (61, 64)])
@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("fit", ["squash", "pad"])
def test_the_segment_lies_on_a_bright_rectangle(tmp_path, size, inverted, fit):
    stored = with_rectangle(size, inverted)
    colour = "MONOCHROME1" if inverted else "MONOCHROME2"
    spacing = {"PixelSpacing": [0.2, 0.4], "PixelAspectRatio": [1, 2]}
    path = write_study(tmp_path / "in" / "a.dcm", stored, PhotometricInterpretation=colour, **spacing)
    judge(tmp_path / "in", tmp_path / "out", Bright(fit))
    found = segments(tmp_path / "out" / "dicom" / "a.dcm" / "segmentation.dcm")
    assert set(found) == {"lung field", "opacity"}
    assert found["opacity"].shape == stored.shape == pydicom.dcmread(path).pixel_array.shape
    fitted = [max(size) / 64] * 2 if fit == "pad" else [side / 64 for side in size]  # a fitted pixel in stored ones
    margin = np.ceil(fitted).astype(int)
    assert found["opacity"][rectangle(size, -margin)].all()
    assert rectangle(size, -margin).any()
    assert not found["opacity"][~rectangle(size, margin)].any()
    half = np.zeros(size, dtype=bool)
    half[:, : size[1] // 2] = True
    assert overlap(found["lung field"], half) > 0.95


@pytest.mark.parametrize("told", ["pixels", "windows"])
def test_likeliest_kinds_are_told_by_pixel_or_by_window(tmp_path, told):
    there = rectangle((256, 256))
    write_study(tmp_path / "in" / "a.dcm", with_rectangle((256, 256)))
    judge(tmp_path / "in", tmp_path / "out", Bright("squash", LIKELIEST, told))
    found = segments(tmp_path / "out" / "dicom" / "a.dcm" / "segmentation.dcm")
    assert set(found) == {"lung field", "healthy lung", "opacity", "outside the lung"}
    assert overlap(found["opacity"], there) > (0.9 if told == "pixels" else 0.7)
    assert (found["opacity"] ^ found["outside the lung"]).all()
    assert not found["healthy lung"].any()


def test_pixels_are_of_the_kind_of_most_windows_over_them():
    rng = np.random.default_rng(0)
    grid = PatchGrid((12, 10), 4, 3)
    likeliest = rng.integers(0, 3, len(grid)).astype(np.int8)
    anomaly = np.where(grid.covered, 0.5, np.nan).astype(np.float32)
    found = pixel_kinds(anomaly, likeliest, LIKELIEST, grid)
    votes = np.zeros((3, 12, 10), dtype=int)
    for kind, (top, left) in zip(likeliest, grid.positions, strict=True):
        votes[kind, top : top + 4, left : left + 4] += 1
    assert (found == np.where(grid.covered, votes.argmax(axis=0), UNKNOWN)).all()
    assert (found == UNKNOWN).any()


def test_what_the_model_does_not_tell_is_left_out_and_said(tmp_path, monkeypatch):
    write_study(tmp_path / "in" / "a.dcm", radiograph(0))
    whole = Bright(thresholds=None)
    monkeypatch.setattr(Bright, "__call__", everywhere)
    rows = judge(tmp_path / "in", tmp_path / "out", whole)
    assert objects_of(tmp_path / "out") == ["a.dcm/overlay.dcm", "a.dcm/report.dcm"]
    assert (rows["a.dcm"]["dicom"], said(rows["a.dcm"])) == ("dicom/a.dcm", [])
    found = texts(tmp_path / "out" / "dicom" / "a.dcm" / "report.dcm")
    assert "No segment of the lung field: lungs were not looked for." in found
    assert "No segments of the kinds: the model has no thresholds between them." in found


def everywhere(self, images, content):
    """A prediction without lung fields."""
    maps = images.astype(np.float32) / 255
    windows = self.grid.window_shares(content).astype(np.float32)
    return Prediction.of(content.copy(), maps, windows, maps.mean(axis=(1, 2)), content, self.grid)


@pytest.mark.filterwarnings("ignore:Invalid value")
def test_bad_headers_keep_the_judgement_and_are_named(tmp_path):
    source = tmp_path / "in"
    write_study(source / "good.dcm", radiograph(0))
    write_study(source / "no study.dcm", radiograph(1), 2, StudyInstanceUID=None, SeriesInstanceUID="")
    write_study(source / "no id.dcm", radiograph(2), 3, SOPInstanceUID=None)
    write_study(source / "odd class.dcm", radiograph(3), 4, SOPClassUID="1.2.3")
    write_study(source / "old.dcm", radiograph(4), 5, PatientAge="4 years")
    rows = judge(source, tmp_path / "out")
    assert all(row["score"] for row in rows.values())
    words = {name: said(row) for name, row in rows.items()}
    assert words["good.dcm"] == []
    assert words["no study.dcm"] == ["no DICOM objects: StudyInstanceUID and SeriesInstanceUID missing or invalid"]
    assert words["no id.dcm"] == ["no DICOM objects: SOPInstanceUID missing or invalid"]
    assert words["odd class.dcm"] == ["no DICOM objects: SOPClassUID 1.2.3 is not known"]
    assert words["old.dcm"] == ["invalid and not taken over to the DICOM objects: PatientAge"]
    written = {name for name, row in rows.items() if row["dicom"]}
    assert written == {"good.dcm", "old.dcm"}
    assert objects_of(tmp_path / "out") == [
        f"{name}/{kind}.dcm" for name in sorted(written) for kind in sorted(OBJECTS)
    ]


def test_two_radiographs_of_one_id_get_no_objects_and_are_both_named(tmp_path, caplog):
    source, out = tmp_path / "in", tmp_path / "out"
    write_study(source / "a.dcm", radiograph(0))
    before = judge(source, out)
    was = (out / "dicom" / "a.dcm" / "report.dcm").read_bytes()
    for seed, name in enumerate(("b.dcm", "ward/c.dcm"), start=1):
        write_study(source / name, radiograph(seed))
    rows = judge(source, out)
    assert rows["a.dcm"] == before["a.dcm"]  # done before the others came, and not written over
    assert (out / "dicom" / "a.dcm" / "report.dcm").read_bytes() == was
    assert said(rows["b.dcm"]) == ["no DICOM objects: the same SOPInstanceUID as a.dcm, ward/c.dcm"]
    assert "a.dcm, b.dcm, ward/c.dcm have one SOPInstanceUID" in caplog.text
    rows = judge(source, out, overwrite=True)
    assert [bool(row["dicom"]) for row in rows.values()] == [False] * 3
    assert not (out / "dicom").exists()


def test_other_formats_are_counted_and_said_once(tmp_path, caplog):
    write_study(tmp_path / "in" / "a.dcm", radiograph(0))
    for seed in range(3):
        Image.fromarray(radiograph(seed)).save(tmp_path / "in" / f"{seed}.png")
    rows = judge(tmp_path / "in", tmp_path / "out")
    assert caplog.text.count("3 files are no DICOM and get no DICOM objects: 0.png, 1.png, 2.png") == 1
    assert {name for name, row in rows.items() if row["dicom"]} == {"a.dcm"}
    assert all(row["score"] and not said(row) for row in rows.values())


def test_what_was_stopped_goes_on_and_gives_the_same_objects(tmp_path, monkeypatch):
    for number in range(1, 6):
        write_study(tmp_path / "in" / f"{number}.dcm", radiograph(number), number)
    monkeypatch.setattr("pneumo_ad.inference.radiographs.GROUP", 2)  # files judged together
    judge(tmp_path / "in", tmp_path / "whole")
    draw, drawn = Pictures.write, []

    def stopped(self, row, *rest):
        if len(drawn) == 3:
            raise KeyboardInterrupt
        drawn.append(row["file"])
        return draw(self, row, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(Pictures, "write", stopped)
        with pytest.raises(KeyboardInterrupt):
            judge(tmp_path / "in", tmp_path / "out")
    left = tmp_path / "out" / "dicom" / "5.dcm" / "report.dcm.0123abcd.partial"
    left.parent.mkdir(parents=True)
    left.touch()  # as a killed process leaves it
    judge(tmp_path / "in", tmp_path / "out")
    names = objects_of(tmp_path / "whole")
    assert objects_of(tmp_path / "out") == names
    assert len(names) == 15
    for name in names:
        assert (tmp_path / "out" / "dicom" / name).read_bytes() == (tmp_path / "whole" / "dicom" / name).read_bytes()
    assert not list((tmp_path / "out").rglob("*.partial"))


def test_written_objects_are_no_input(tmp_path):
    write_study(tmp_path / "in" / "a.dcm", radiograph(0))
    judge(tmp_path / "in", tmp_path / "in" / "out")
    rows = judge(tmp_path / "in", tmp_path / "again")
    assert set(rows) == {"a.dcm"}
    failed = table(tmp_path / "again", "failed")
    objects = {f"out/dicom/a.dcm/{kind}.dcm" for kind in OBJECTS}
    assert {failed[name]["reason"] for name in objects} == {"written by predict"}
    # fetched from an archive, without the list that knows them: refused by their modality
    shutil.copytree(tmp_path / "in" / "out" / "dicom" / "a.dcm", tmp_path / "fetched")
    shutil.copy(tmp_path / "in" / "a.dcm", tmp_path / "fetched")
    assert set(judge(tmp_path / "fetched", tmp_path / "third")) == {"a.dcm"}
    failed = table(tmp_path / "third", "failed")
    assert set(failed) == {f"{kind}.dcm" for kind in OBJECTS}
    assert all("is no radiograph" in row["reason"] for row in failed.values())


def test_objects_that_changed_or_are_not_wanted_any_more_are_replaced(tmp_path):
    path = write_study(tmp_path / "in" / "a.dcm", radiograph(0))
    judge(tmp_path / "in", tmp_path / "out")
    mine = tmp_path / "out" / "dicom" / "a.dcm" / "note.txt"
    mine.write_text("mine")
    path.unlink()
    write_study(path, radiograph(1, 90, 70), StudyInstanceUID=None)
    assert judge(tmp_path / "in", tmp_path / "out")["a.dcm"]["dicom"] == ""
    assert [path.name for path in (tmp_path / "out" / "dicom").rglob("*") if path.is_file()] == ["note.txt"]


def test_a_missing_package_is_told_before_anything_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("pneumo_ad.dicom.extra.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r'dicom=true needs highdicom: pip install "pneumo_ad\[dicom\]"'):
        predict_folder(tmp_path / "nowhere", tmp_path / "nothing", tmp_path / "out", dicom=True)
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def predicted(tmp_path_factory):
    """The output of the detector that ships, for a radiograph of a patient with a Japanese name."""
    folder = tmp_path_factory.mktemp("shipped")
    tags = {"SpecificCharacterSet": ["", "ISO 2022 IR 87"], "PatientName": "Yamada^Tarou=山田^太郎"}
    pixels = 4095 - radiograph(0, 300, 400).astype(np.uint16) * 16
    write_study(folder / "in" / "a.dcm", pixels, bits=12, PhotometricInterpretation="MONOCHROME1", **tags)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PNEUMO_AD_CACHE", str(folder / "cache"))
        arguments = [f"input={folder / 'in'}", f"output={folder / 'out'}", "dicom=true"]
        assert start("predict", *arguments) == 0
        assert start("predict", *arguments) == 0  # nothing new
        assert start("predict", *arguments[:2]) == 2  # another prediction
    return folder / "out"


def test_an_archive_returns_what_it_was_given_and_shows_the_overlay(predicted, tmp_path):
    row = table(predicted)["a.dcm"]
    with orthanc(tmp_path) as archive:
        names = {}
        for kind in OBJECTS:
            content = (predicted / row["dicom"] / f"{kind}.dcm").read_bytes()
            names[kind] = json.loads(archive("instances", content))["ID"]
            assert archive(f"instances/{names[kind]}/file") == content
        (study,) = json.loads(archive("studies"))
        assert len(json.loads(archive(f"studies/{study}/series"))) == len(OBJECTS)
        patient = json.loads(archive(f"studies/{study}"))["PatientMainDicomTags"]
        assert patient["PatientName"] == "Yamada^Tarou=山田^太郎"
        (tmp_path / "preview.png").write_bytes(archive(f"instances/{names['overlay']}/preview"))
    with Image.open(tmp_path / "preview.png") as preview, Image.open(predicted / row["overlay"]) as drawn:
        pixels = np.asarray(preview.convert("RGB"))
        assert (pixels == np.asarray(drawn)).all()
    picture = pixels[:300]
    assert (np.ptp(picture.astype(int), axis=2) > 40).mean() > 0.001  # the outline of the lung field, at least
    assert (pixels[300:] > 250).mean() > 0.5  # the strip of words beneath


def test_objects_of_the_detector_that_ships_name_it(predicted):
    row = table(predicted)["a.dcm"]
    story = json.loads((predicted / "predict.json").read_text())
    made = {kind: pydicom.dcmread(predicted / row["dicom"] / f"{kind}.dcm") for kind in OBJECTS}
    assert {one.DeviceSerialNumber for one in made.values()} == {story["asked"]["judge"]}
    assert "model=shipped detector" in texts(predicted / row["dicom"] / "report.dcm")
    assert set(segments(predicted / row["dicom"] / "segmentation.dcm")) >= {"opacity", "healthy lung"}
    assert (made["segmentation"].Rows, made["segmentation"].Columns) == (300, 400)
    assert Path(predicted / row["overlay"]).is_file()
