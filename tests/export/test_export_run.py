"""The command: a run as files that say what the run says, without it."""

import json
import os
import re
import shutil
import subprocess
import sys
from io import StringIO

import numpy as np
import pytest
from drawn import radiograph
from filelock import FileLock
from PIL import Image
from rich.console import Console
from running import TINY, start

from pneumo_ad.commands.export import export_run
from pneumo_ad.data.fit import fit_image, place
from pneumo_ad.errors import ConfigError, DataError, UserError
from pneumo_ad.evaluation.summary import headline_table
from pneumo_ad.export import formats, parity
from pneumo_ad.export.archive import checked
from pneumo_ad.export.card_figures import measured, plain_words
from pneumo_ad.export.description import read_description
from pneumo_ad.export.exported_predictor import ExportedPredictor
from pneumo_ad.labels import RADIOGRAPH
from pneumo_ad.metrics.catalogue import HEADLINE, LEVELS
from pneumo_ad.metrics.shortcuts import strength, strongest_shortcut
from pneumo_ad.prediction.run_predictor import RunPredictor
from pneumo_ad.runs.jobs import BusyError
from pneumo_ad.runs.run import load_run

CASES = {
    "patches": ("onnx", ["fit=pad", "relative=0.2", "intensity=lung_field"]),
    "whole radiographs": (
        "torch_export", ["experiment=opacity_detector", "module.warm_start=false", "per_epoch=8", "evaluate=null"],
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=list(CASES))
def exported(request, tmp_path_factory):
    """A run and its export."""
    folder = tmp_path_factory.mktemp("run")
    form, options = CASES[request.param]
    shared = [*TINY, "evaluate=test", "lungs=segmenter", "trainer.max_epochs=1"]
    with pytest.MonkeyPatch.context() as monkey:
        monkey.setenv("PNEUMO_AD_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        assert start("train", *options[:1], *shared, *options[1:], f"hydra.run.dir={folder}") == 0
        yield folder, export_run(folder, format=form), form


@pytest.fixture
def run_and_copy(exported, tmp_path):
    return exported[0], shutil.copytree(exported[1], tmp_path / "copy")


def test_an_exported_model_judges_as_its_run_does(exported):
    run, found = load_run(exported[0], ["trainer=cpu"]), ExportedPredictor(exported[1])
    data = run.radiographs
    rows = data.rows("test")[:9]
    images, content = data.store.images[rows], data.store.content(rows)
    images[0] = 0  # nothing to be seen: no lung
    expected, ours = RunPredictor(run)(images, content), found(images, content)
    assert (ours.lung_fields == expected.lung_fields).all()
    assert (ours.inside == expected.inside).all()
    for name in ("maps", "windows", "scores"):
        wanted = getattr(expected, name)
        np.testing.assert_allclose(getattr(ours, name), wanted, rtol=0, atol=1e-4 * np.nanmax(wanted), err_msg=name)
    assert np.isnan(ours.scores[0])
    assert (found.grid, found.fit, found.view) == (data.grid, data.fit, data.view)
    standard = RunPredictor(run).standard
    np.testing.assert_array_equal(found.standard.normals, standard.normals)
    assert found.standard.decisions(ours.scores) == standard.decisions(expected.scores)
    assert found.standard.thresholds == standard.thresholds
    assert found.notes == RunPredictor(run).notes
    *_, scores, percentiles = found.inside(images, expected.lung_fields, content)
    np.testing.assert_allclose(percentiles, standard.percentiles(scores), rtol=1e-5)


def test_the_folder_says_what_it_holds(exported):
    _, folder, form = exported
    suffix = formats.FORMATS[form].suffix
    names = {"model.json", "MODEL_CARD.md", "example.py", f"model{suffix}", f"lungs{suffix}"}
    assert {file.name for file in folder.iterdir()} == names
    assert not [file for file in folder.parent.iterdir() if file.name.endswith(".partial")]
    about = json.loads((folder / "model.json").read_text())
    assert about["parity"]["holds"]
    assert about["parity"]["radiographs"] >= 8
    assert about["parity"]["source"] == "radiographs of the run's test split"
    assert [one["name"] for one in about["files"]["model"]["inputs"]][:2] == ["image", "lung_field"]
    assert len(about["standard"]["normals"]) > 0
    again = folder.parent / "again"
    again.mkdir()
    for file in (f"model{suffix}", f"lungs{suffix}"):
        shutil.copy(folder / file, again)
    read_description(folder).write(again)
    assert json.loads((again / "model.json").read_text()) == about


def test_a_second_process_at_an_export_is_refused_and_what_a_killed_one_left_is_deleted(exported, tmp_path):
    run, folder, form = exported
    output, left = tmp_path / "model", tmp_path / ".model.partial" / "new"
    left.mkdir(parents=True)
    (left / "model.json").write_text("half")
    with FileLock(left.parent / ".lock"), pytest.raises(BusyError, match="another process is at this export"):
        export_run(run, format=form, output=output)
    assert not output.exists()
    export_run(run, format=form, output=output)
    assert {file.name for file in output.iterdir()} == {file.name for file in folder.iterdir()}
    assert [file.name for file in tmp_path.iterdir()] == ["model"]


def test_the_card_tells_what_a_reader_must_know(exported):
    run, folder, _ = exported
    card = (folder / "MODEL_CARD.md").read_text()
    for words in (
        "Not a medical device",
        "drawn radiographs only",
        "Parity with the run in PyTorch",
        "Apache-2.0",
    ):
        assert words in card, words
    titles = re.findall("^## (.*)", card, re.MULTILINE)
    assert titles == [
        "What it is", "Data", "Training", "What was measured", "False alarms", "Limits", "Export", "How to use it",
        "Licence",
    ]  # fmt: skip
    assert str(run) not in card
    table = (run / "split.csv").read_text().count(",test\n")
    row = re.search(r"^\| test \| (\d+) \| (\d+) \| 0 ", card, re.MULTILINE)
    assert int(row[1]) + int(row[2]) == table
    if not (run / "metrics.json").is_file():
        assert "**Nothing.** The run was not evaluated" in card
    else:
        metrics = json.loads((run / "metrics.json").read_text())
        assert f"{metrics['image/auroc']:.3f} ({metrics['image/auroc_low']:.3f}" in card
        assert "| best shortcut |" in card
        assert all(sentence in card for sentence in plain_words(metrics))


def test_the_example_runs_with_nothing_of_this_project(exported, tmp_path):
    folder, form = exported[1:]
    picture = radiograph(5, height=150, width=101)
    Image.fromarray(picture).save(tmp_path / "radiograph.png")
    barred = ["pneumo_ad", "lightning", "scipy", *(["torch"] if form == "onnx" else ["onnxruntime"])]
    code = (
        f"import runpy, sys; sys.modules.update(dict.fromkeys({barred}))\n"  # None: importing it fails
        f"sys.argv[1:] = ['radiograph.png', 'map.png']; runpy.run_path({str(folder / 'example.py')!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = [float(number) for number in re.search(r"score (\S+) .* above (\S+) %", done.stdout).groups()]
    judge = ExportedPredictor(folder)
    fitted, placement = fit_image(picture, judge.grid.image_size, judge.fit)
    content = placement.content(fitted.shape)
    (probability,) = judge.graphs["lungs"](fitted[None, None].astype(np.float32) / np.float32(255))
    field = (probability[:, 0] > 0.5).astype(np.uint8)
    anomaly_map, _, score, percentile = judge.inside(fitted[None], field, content[None])
    np.testing.assert_allclose(told, [score[0], percentile[0]], rtol=1e-3)
    low, high = judge.standard.window_range
    drawn = np.asarray(Image.open(tmp_path / "map.png"))
    grey = np.nan_to_num(255 * np.clip((anomaly_map[0, 0] - low) / (high - low), 0, 1))
    assert np.abs(drawn - np.floor(grey)).max() <= 1


def test_the_example_is_short(exported):
    body = (exported[1] / "example.py").read_text().split('"""')[2]
    assert sum(bool(line.strip()) for line in body.splitlines()) <= 20


@pytest.mark.parametrize("size", [(100, 201), (201, 100), (64, 64), (7, 300)])
def test_padding_in_the_example_is_the_projects(size):
    from PIL import ImageOps

    whole = Image.new("L", size[::-1], 1)
    content = np.asarray(ImageOps.pad(whole, (96, 64), Image.Resampling.BILINEAR, centering=(0.499, 0.499)))
    where = place(size, (64, 96), "pad")
    expected = np.zeros((64, 96))
    expected[where.top : where.top + where.height, where.left : where.left + where.width] = 1
    np.testing.assert_array_equal(content, expected)


def test_the_card_says_plainly_what_near_chance_is():
    interval = {"image/auroc": 0.62, "image/auroc_low": 0.55, "image/auroc_high": 0.7}
    assert plain_words(interval) == []
    (worse,) = plain_words(interval | {"shortcut/image/sharpness": 0.2, "shortcut/image/sharpness_low": 0.1})
    assert worse.startswith("Worse than a shortcut: lower sharpness alone")
    assert worse.endswith("0.800.")
    (same,) = plain_words(interval | {"shortcut/image/sharpness": 0.6})
    assert same.startswith("Not clearly better than a shortcut")
    assert plain_words(interval | {"shortcut/image/sharpness": 0.54}) == []
    (backwards,) = plain_words({"image/auroc": 0.3, "image/auroc_low": 0.2, "image/auroc_high": 0.4})
    assert backwards.startswith("The wrong way round")


@pytest.mark.parametrize("key", LEVELS)
def test_the_shortcut_of_the_card_is_the_console_s(key):
    metrics = {key: 0.6, "about": {"subset": "test"}}
    metrics |= {f"shortcut/{level}/sharpness": 0.3 for level in LEVELS.values()} | {"shortcut/image/aspect": 0.1}
    metrics |= {"shortcut/patch_origin/contrast": 0.25, "shortcut/pixel/brightness": 0.05}
    told = strongest_shortcut(metrics, key)
    words = f"{strength(told.auroc):.3f} by {RADIOGRAPH.fill(told.words)}"
    assert words in measured(metrics, HEADLINE | {key: key}, "")
    console = Console(width=300, record=True, file=StringIO())
    console.print(headline_table("SAD", metrics, ""))
    assert (words in console.export_text()) == (key in HEADLINE)


def test_a_file_that_is_not_the_one_written_is_refused(run_and_copy):
    folder = run_and_copy[1]
    (model,) = folder.glob("model.[op]*")
    whole = model.read_bytes()
    model.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"model\..*: not the file that was written"):
        ExportedPredictor(folder)
    model.unlink()
    with pytest.raises(DataError, match=r"no such file, though model\.json names it"):
        ExportedPredictor(folder)


def test_a_model_of_before_notes_were_kept_has_none(run_and_copy):
    folder = run_and_copy[1]
    about = json.loads((folder / "model.json").read_text())
    del about["notes"]
    (folder / "model.json").write_text(json.dumps(about))
    assert ExportedPredictor(folder).notes == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format_version": 99}, "newer version"),
        ({"standard": {}}, "not what `pneumo-ad export` writes"),
        ({"image_size": [32, 32], "patch": 8}, "export again"),
    ],
)
def test_a_description_that_cannot_be_is_refused(run_and_copy, change, words):
    folder = run_and_copy[1]
    about = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(about | change))
    pictures = np.ones((2, 1, *change.get("image_size", (64, 64))), dtype=np.uint8)
    with pytest.raises(DataError, match=words):
        ExportedPredictor(folder)(*pictures)


def test_a_folder_that_is_not_empty_is_left_alone(run_and_copy, tmp_path):
    run, folder = run_and_copy
    with pytest.raises(ConfigError, match=r"is not empty .*overwrite=true replaces it"):
        export_run(run, output=folder)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="it is left alone"):
        export_run(run, output=tmp_path / "mine", overwrite=True)
    assert (tmp_path / "mine" / "notes.txt").read_text() == "mine"


@pytest.fixture
def patches(exported):
    if exported[2] != "onnx":
        pytest.skip("once is enough")
    return exported


def test_a_model_that_says_something_else_is_not_kept(patches, monkeypatch, tmp_path):
    monkeypatch.setattr(parity, "TOLERANCE", -1.0)
    with pytest.raises(UserError, match=r"does not say what the run says.*format=onnx may work"):
        export_run(patches[0], output=tmp_path / "model", format="torch_export")
    assert list(tmp_path.iterdir()) == []


def test_without_its_data_a_run_is_compared_on_drawn_radiographs(patches, tmp_path, monkeypatch, caplog):
    run = shutil.copytree(patches[0], tmp_path / "run", ignore=shutil.ignore_patterns("export"))
    split = (run / "split.csv").read_text().splitlines()
    (run / "split.csv").write_text("\n".join([*split, "gone,gone,normal,test"]) + "\n")
    folder = export_run(run, format="torch_export", output=tmp_path / "model")
    about = json.loads((folder / "model.json").read_text())
    assert about["parity"]["source"] == "drawn images"
    assert about["parity"]["holds"]
    assert "1 images are gone" in caplog.text
    assert "held-out normals of the run are not at hand" in about["notes"][0]
    assert ExportedPredictor(folder).notes == about["notes"]
    assert (
        "there are no percentiles" in (folder / "MODEL_CARD.md").read_text()
    )  # the split they are kept for is another
    judge = ExportedPredictor(folder)
    picture = np.stack([radiograph(1, *judge.grid.image_size)])
    *_, percentile = judge.inside(picture, np.ones_like(picture), np.ones_like(picture))
    assert np.isnan(percentile).all()


def test_missing_packages_and_unknown_words_are_told(patches, monkeypatch):
    with pytest.raises(ConfigError, match="format=tflite is not known; expected onnx or torch_export"):
        export_run(patches[0], format="tflite")
    with pytest.raises(ConfigError, match="overwrite=yes"):
        export_run(patches[0], overwrite="yes")
    monkeypatch.setattr(formats, "find_spec", lambda name: None if name == "onnxscript" else name)
    with pytest.raises(ConfigError, match=r"format=onnx needs onnxscript: pip install .*torch_export does without"):
        export_run(patches[0])


def test_an_onnx_model_is_opened_with_onnxruntime_alone(patches, monkeypatch):
    barred = {"onnx", "onnxscript"}
    monkeypatch.setattr(formats, "find_spec", lambda name: None if name in barred else name)
    for name in barred:
        monkeypatch.setitem(sys.modules, name, None)  # importing it fails
    judge = ExportedPredictor(patches[1])
    assert judge(*np.ones((2, 1, *judge.grid.image_size), dtype=np.uint8)).maps.shape == (1, *judge.grid.image_size)
    barred.add("onnxruntime")
    with pytest.raises(ConfigError, match=r"opening a model of format=onnx needs: pip install onnxruntime$"):
        ExportedPredictor(patches[1])


def test_a_pickle_in_a_torch_file_is_not_opened(tmp_path):
    import torch

    class Twice(torch.nn.Module):
        def forward(self, x):
            return (2 * x,)

    program = torch.export.export(Twice(), (torch.ones(2),))
    torch.export.save(program, tmp_path / "usual.pt2")  # torch pickles the example input
    with pytest.raises(DataError, match=r"holds a pickle \(data/sample_inputs"):
        checked(tmp_path / "usual.pt2")
    formats.FORMATS["torch_export"].save(program, ["x"], ["y"], tmp_path / "ours.pt2")
    checked(tmp_path / "ours.pt2")
    assert formats.FORMATS["torch_export"].open(tmp_path / "ours.pt2")(np.ones(2, np.float32))[0].tolist() == [2, 2]


def test_an_error_without_words_is_told_by_its_name(patches):
    judge = ExportedPredictor(patches[1])

    def fails(*_):
        raise AssertionError

    judge.graphs["model"] = fails
    with pytest.raises(DataError, match=r"does not take .*, as model\.json says it does \(AssertionError\)"):
        judge(*np.ones((2, 1, *judge.grid.image_size), dtype=np.uint8))


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
def test_a_folder_that_cannot_be_written_to_is_told(patches, tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigError, match="cannot be written to"):
        export_run(patches[0], output=tmp_path / "model")
