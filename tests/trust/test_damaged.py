"""Damaged run folders, stores and exports: each file named once, nothing waited for, nothing lost."""

import json
import logging
import os
import shutil
from functools import partial

import numpy as np
import pytest
import torch
from mutants import REFUSED, copy, files_of, kinds_of, mutate
from running import TINY, start, times
from safetensors.torch import save_file

from pneumo_ad.data.store.upkeep import list_stores
from pneumo_ad.errors import DamagedError, DataError, UserError
from pneumo_ad.evaluation.kept_scores import earlier_scores
from pneumo_ad.leaderboard.groups import check_evaluated
from pneumo_ad.patches.grid import LONGEST
from pneumo_ad.prediction.opening import open_predictor
from pneumo_ad.prediction.run_predictor import RunPredictor
from pneumo_ad.runs.checkpoints import read_checkpoint, weights_digest
from pneumo_ad.runs.dot_hydra import read_overrides
from pneumo_ad.runs.evaluated_rows import chosen_rows
from pneumo_ad.runs.record import read_run_json
from pneumo_ad.runs.run import load_run
from pneumo_ad.runs.scorer import scoring_of
from pneumo_ad.runs.shipped import SHIPPED

MUTANTS = int(os.environ.get("PNEUMO_AD_MUTANTS", "60"))  # drawn beside those of every file; 300 take some minutes
PLAIN = [option for option in TINY if not option.startswith("evaluate=")]
FEW = ["trainer.max_epochs=1", "lungs=none"]


@pytest.fixture(scope="module")
def made(shared):
    """A run that was evaluated, in `sweep/run`, and its exports."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PNEUMO_AD_CACHE", str(shared / "cache"))
        patch.chdir(shared)
        assert start("train", *PLAIN, *FEW, f"hydra.run.dir={shared / 'sweep' / 'run'}") == 0
        assert start("export", "run=sweep/run", "format=torch_export", f"output={shared / 'torch_export'}") == 0
    return shared


@pytest.fixture
def run(made, here, tmp_path):
    return copy(made / "sweep" / "run", tmp_path / "run")


def open_run(folder):
    """Everything that commands read of a run folder, but what they would train."""
    read_run_json(folder)
    read_overrides(folder)
    run = load_run(folder)
    assert len(run.history)
    RunPredictor(run)
    earlier_scores(folder, run, scoring_of(run), chosen_rows(run)[0])
    check_evaluated(folder)
    for name in ("best", "last"):
        read_checkpoint(folder / "checkpoints" / f"{name}.ckpt")


def told(action, caplog):
    """What an error for the user says; else what was warned of. Any other error fails the test."""
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        try:
            action()
        except UserError as reason:
            return str(reason)
    return "\n".join(record.getMessage() for record in caplog.records)


def every(folder):
    return [(file, kind) for file in files_of(folder) for kind in REFUSED]


def drawn(folder, seed):
    """Damage of every kind to files drawn by chance, the generator of each beside it."""
    files = files_of(folder)
    for number in range(MUTANTS):
        random = np.random.default_rng([seed, number])
        file = files[int(random.integers(len(files)))]
        kinds = kinds_of(file)
        yield file, kinds[int(random.integers(len(kinds)))], random


def test_damaged_weights_alone_are_named(here, tmp_path):
    """As they ship: safetensors, which have no checksums of their own."""
    shutil.copytree(SHIPPED, tmp_path / "run")
    file = tmp_path / "run" / "checkpoints" / "best.safetensors"
    whole = file.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    damages = {kind: partial(mutate, kind=kind) for kind in (*REFUSED, "truncated")}
    damages |= {
        "of no end": lambda file, random: file.write_bytes(b"\xff" * 8 + whole[8:]),
        "header alone": lambda file, random: file.write_bytes(whole[:header]),
        "longer": lambda file, random: file.write_bytes(whole + b"more"),
        "other shapes": lambda file, random: file.write_bytes(whole.replace(b'"shape":[', b'"shape":[9', 1)),
        "a checkpoint": lambda file, random: torch.save({"state_dict": {}}, file),
    }
    for number, (kind, damage) in enumerate(damages.items()):
        damage(file, random=np.random.default_rng(number))
        with pytest.raises(DamagedError) as reason:
            load_run(tmp_path / "run")
        assert str(reason.value).count(str(file)) == 1, kind
        file.rmdir() if file.is_dir() else file.unlink()
        file.write_bytes(whole)
    assert load_run(tmp_path / "run").checkpoint == file


@pytest.mark.parametrize("weights", [{}, {"net.odd": torch.zeros(3)}])
def test_weights_of_another_net_are_named(here, tmp_path, weights):
    shutil.copytree(SHIPPED, tmp_path / "run")
    file = tmp_path / "run" / "checkpoints" / "best.safetensors"
    save_file(weights, file)
    with pytest.raises(DataError) as reason:
        load_run(tmp_path / "run")
    assert str(reason.value).count(str(file)) == 1


UNREAD = ("confusion_of_kinds.csv", "precision_recall.csv", "subgroups.csv", "example.py")


def test_what_is_no_file_of_this_project_is_named_in_every_place(made, here, tmp_path, caplog):
    source = made / "sweep" / "run"
    open_run(source)
    for number, (file, kind) in enumerate(every(source)):
        if file.name in UNREAD:
            continue
        folder = copy(source, tmp_path / f"{number}")
        mutate(folder / file, kind, np.random.default_rng(number))
        before = times(folder)
        said = told(lambda folder=folder: open_run(folder), caplog)
        assert said.count(str(folder / file)) == 1, (file, kind, said)
        if file.suffix != ".npz":
            assert times(folder) == before, (file, kind)
        shutil.rmtree(folder)


def test_mutants_of_a_run_are_named_or_read(made, here, tmp_path, caplog):
    source = made / "sweep" / "run"
    weights = weights_digest(load_run(source).module.net)
    for number, (file, kind, random) in enumerate(drawn(source, seed=12)):
        folder = copy(source, tmp_path / f"{number}")
        mutate(folder / file, kind, random)
        said = told(lambda folder=folder: open_run(folder), caplog)
        if said:
            assert str(folder / file) in said or str(folder) in said, (number, file, kind, said)
            assert len(said) < 1200, (number, file, kind)
        elif file.suffix == ".ckpt":
            assert weights_digest(load_run(folder).module.net) == weights, (number, kind)
        shutil.rmtree(folder)


def test_mutants_of_an_export_are_named_or_read(made, here, tmp_path, caplog):
    source = made / "torch_export"
    for number, (file, kind, random) in enumerate(
        [*((file, kind, np.random.default_rng(0)) for file, kind in every(source)), *drawn(source, seed=13)]
    ):
        folder = copy(source, tmp_path / f"{number}")
        mutate(folder / file, kind, random)
        said = told(lambda folder=folder: open_predictor(folder), caplog)
        if said or kind in REFUSED or file.name != "model.json":  # the others are known by their digest
            digest = "(its SHA-256 is not that of model.json)" in said  # either of the two was changed
            assert said.count(str(folder / file)) == 1 or digest, (number, file, kind, said)
        shutil.rmtree(folder)


def replaced(file, text):
    """Another content, in a file of its own and not in the one that it is linked to."""
    file.unlink()
    file.write_text(text)


def contents(folder):
    return {str(file): (folder / file).read_bytes() for file in files_of(folder) if (folder / file).is_file()}


def with_config(run, old, new):
    file = run / ".hydra" / "config.yaml"
    text = file.read_text()
    assert old in text
    replaced(file, text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("width: 4", "width: 1000000000", "far more parameters than|can't allocate memory"),
        ("width: 4", "width: 2000", "far more parameters than"),
        ("depth: 2", "depth: 1000000000", "no side is halved so often"),
        ("image_size: 64", "image_size: 1000000000", f"the largest that works is {LONGEST}"),
        ("patch: 8", "patch: x", "patch is str, expected int"),
        ("stride: 8", "stride: 0", "stride=0 must lie between"),
        ("stride: 8", "stride: ${patch}${stride}", "Recursive interpolation|recursion"),
        ("stride: 8", "stride: ${nobody}", "Interpolation key 'nobody' not found"),
        ("seed: 0", "seed: &s 0\nname2: *s", "repeats another node"),
        ("seed: 0", "seed: !!python/name:os.system", "could not determine a constructor"),
    ],
)
def test_a_config_that_asks_for_too_much_or_for_itself_is_named(run, old, new, said):
    with_config(run, old, new)
    with pytest.raises(UserError, match=said) as told:
        RunPredictor(load_run(run))
    assert str(told.value).startswith(f"{run / '.hydra' / 'config.yaml'}: ")


def test_one_bit_of_the_weights_is_noticed(run):
    """torch reads weights without their checksums: another value would come out of it."""
    file = run / "checkpoints" / "best.ckpt"
    content = bytearray(file.read_bytes())
    weight = next(iter(read_checkpoint(file)["state_dict"].values())).numpy().tobytes()
    content[content.index(weight) + 2] ^= 1
    file.unlink()
    file.write_bytes(content)
    assert torch.load(file, weights_only=True)["state_dict"]
    with pytest.raises(DamagedError, match=r"the checksum of .* is wrong"):
        load_run(run)


@pytest.mark.parametrize("kind", ["empty", "text", "truncated", "folder", "pipe", "nowhere"])
@pytest.mark.parametrize("name", ["run.json", "checkpoints/last.ckpt", ".hydra/config.yaml", "split.csv"])
def test_no_damaged_run_is_trained_over(run, name, kind, capfd):
    story = json.loads((run / "run.json").read_text())
    mutate(run / name, kind, np.random.default_rng(1))
    if name != "run.json":
        replaced(run / "run.json", json.dumps(story | {"status": "interrupted"}))
    before = contents(run)
    assert start("train", *PLAIN, *FEW, f"hydra.run.dir={run}") == 2
    said = capfd.readouterr().err
    assert f"error: {run / name}: " in said
    assert "Traceback" not in said
    after = contents(run)
    if name in ("checkpoints/last.ckpt", "split.csv"):  # found when the training began: that it failed is noted
        del before["run.json"], after["run.json"]
    assert after == before


@pytest.mark.parametrize("part", ["optimizer_states", "loops", "callbacks"])
def test_going_on_from_a_checkpoint_whose_other_parts_are_none_is_refused(run, part, capfd):
    file = run / "checkpoints" / "last.ckpt"
    held = torch.load(file, weights_only=True)
    file.unlink()
    torch.save(held | {part: "x"}, file)
    replaced(run / "run.json", json.dumps(json.loads((run / "run.json").read_text()) | {"status": "interrupted"}))
    ended = start("train", *PLAIN, *FEW, f"hydra.run.dir={run}")
    said = capfd.readouterr().err
    assert "Traceback" not in said
    assert ended == 0 or f"error: {file}: no training can go on from it (" in said


def test_kept_scores_that_are_damaged_are_made_anew_the_same(run, caplog):
    (file,) = (run / "validation_scores").glob("*.npz")
    standard = RunPredictor(load_run(run)).standard
    for kind in ("empty", "text", "folder", "pipe", "truncated", "objects", "bomb", "names", "dtype"):
        mutate(file, kind, np.random.default_rng(0))
        said = told(lambda: RunPredictor(load_run(run)), caplog)
        assert said.count(str(file)) == 1
        assert "recomputed" in said
        again = RunPredictor(load_run(run)).standard
        assert np.array_equal(again.normals, standard.normals)
        assert again.thresholds == standard.thresholds


def test_a_damaged_store_is_made_anew_and_listed_meanwhile(made, run, monkeypatch, tmp_path, caplog, capsys):
    shutil.copytree(made / "cache", tmp_path / "cache")
    monkeypatch.setenv("PNEUMO_AD_CACHE", str(tmp_path / "cache"))
    data = load_run(run).radiographs
    folder, _ = data.store.folder, data.lung_fields
    names = sorted(file.name for file in folder.iterdir() if file.suffix in (".json", ".csv", ".npy"))
    assert {"store.json", "table.csv", "images.npy", "lung.npy", "content.npy"} <= set(names)
    wanted = {file: (folder / file).read_bytes() for file in names if file.endswith(".npy")}
    for name in names:
        for kind in ("text", "truncated", "folder", "pipe"):
            mutate(folder / name, kind, np.random.default_rng(3))
            damaged = [one.damaged for one in list_stores() if one.folder == folder]
            assert damaged == [""] or damaged[0].startswith(str(folder / name))
            caplog.clear()
            with caplog.at_level(logging.WARNING):
                data = load_run(run).radiographs
                assert data.lung_fields.shape == data.store.images.shape
            said = [record.getMessage() for record in caplog.records]
            assert len(said) == 1, (name, kind, said)
            assert said[0].startswith(f"{folder / name}: ")
            assert said[0].endswith(("recomputed", "recomputed for all when needed", "rebuilt"))
            assert {file: (folder / file).read_bytes() for file in wanted} == wanted, (name, kind)


@pytest.mark.parametrize("name", ["metrics.json", "images.csv", "maps/score.npy", "run.json", ".hydra/config.yaml"])
def test_a_damaged_run_of_a_sweep_is_listed_as_failed_and_the_others_compare(made, here, tmp_path, name):
    for one in ("first", "second"):
        copy(made / "sweep" / "run", tmp_path / "sweep" / one)
    mutate(tmp_path / "sweep" / "second" / name, "truncated", np.random.default_rng(0))
    assert start("compare", tmp_path / "sweep") == 0
    table = (tmp_path / "sweep" / "comparison" / "leaderboard.csv").read_text().splitlines()
    assert table[1].startswith("first,finished,")
    assert table[2].startswith("second,failed,")
    assert str(tmp_path / "sweep" / "second" / name) in table[2]


def test_maps_of_other_radiographs_are_no_part_of_an_evaluation(run):
    mutate(run / "maps" / "images.csv", "cells", np.random.default_rng(0))
    with pytest.raises(DamagedError, match=r"maps/images\.csv: .* is no image of images\.csv"):
        check_evaluated(run)


@pytest.mark.parametrize("kind", ["empty", "text", "folder", "pipe", "truncated"])
def test_a_damaged_evaluation_is_named_by_report_and_not_written_over(run, kind, capfd):
    for name in ("metrics.json", "patches.csv", "images.csv"):
        folder = copy(run, run.with_name(f"{kind}-{name}"))
        mutate(folder / name, kind, np.random.default_rng(2))
        before = times(folder)
        assert start("report", f"run={folder}") == 2
        assert f"error: {folder / name}: " in capfd.readouterr().err
        assert times(folder) == before


def test_a_prediction_that_names_pictures_elsewhere_deletes_none_of_them(run, made, tmp_path, capfd):
    pictures = sorted((made / "cache").glob("phantoms/*/images/*.png"))
    (tmp_path / "in").mkdir()
    shutil.copy(pictures[0], tmp_path / "in")
    asked = [f"run={run}", f"input={tmp_path / 'in'}", f"output={tmp_path / 'out'}"]
    assert start("predict", *asked) == 0
    mine = tmp_path / "mine.png"
    mine.touch()
    done = tmp_path / "out" / "done.json"
    written = json.loads(done.read_text())
    for name in ("../mine.png", str(mine)):
        written["files"][0]["row"]["map"] = name
        done.write_text(json.dumps(written))
        assert start("predict", *asked) == 2
        assert f"{done}: not what predict writes ({name} lies elsewhere)" in capfd.readouterr().err
        assert start("predict", *asked, "overwrite=true") == 0
        assert mine.exists()


def model_json(folder, change):
    file = folder / "model.json"
    content = json.loads(file.read_text())
    change(content)
    replaced(file, json.dumps(content))


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("image_size", [10**9, 10**9], f"the largest that works is {LONGEST}"),
        ("image_size", [64], "expected height and width"),
        ("stride", 0, "stride=0 must lie between"),
        ("patch", 65, "does not fit a side of 64"),
        ("patch", 8.5, "patch is float, expected int"),
        ("fit", "stretch", "fit is 'stretch', expected squash or pad"),
        ("view", "x", "view is 'x'"),
        ("format", "pickle", "format is 'pickle', expected onnx or torch_export"),
        ("standard.false_alarm_rate", -0.1, "false_alarm_rate is -0.1"),
        ("standard.normals", [1.0, float("nan")], "standard.normals"),
        ("standard.normals", ["a"], "standard.normals"),
        ("standard.thresholds", [1.0, 2.0, 3.0], "standard.thresholds"),
        ("standard.window_range", [0.0, float("inf")], "standard.window_range"),
        ("standard.highest", "much", "standard.highest"),
        ("files.model.file", "../model.pt2", "no such file, though model.json names it"),
        ("files.model.file", "..", "no such file, though model.json names it"),
        ("files", {}, "expected model"),
        ("notes", [1], "notes hold other than sentences"),
    ],
)
def test_a_model_json_that_cannot_be_is_named(made, tmp_path, key, value, said):
    folder = copy(made / "torch_export", tmp_path / "export")

    def change(content):
        *path, last = key.split(".")
        for part in path:
            content = content[part]
        content[last] = value

    model_json(folder, change)
    with pytest.raises(DataError, match=said) as told:
        open_predictor(folder)
    assert str(folder) in str(told.value)


def test_a_graph_of_other_sides_is_told_before_a_picture_of_that_size_is_made(made, tmp_path):
    folder = copy(made / "torch_export", tmp_path / "export")
    model_json(folder, lambda content: content.update(image_size=[LONGEST, LONGEST]))
    with pytest.raises(DataError, match=r"model\.pt2 takes pictures of .*64.*64.* pixels, model\.json says"):
        open_predictor(folder)


@pytest.mark.parametrize("kind", ["text", "binary", "folder", "pipe", "nowhere"])
def test_what_is_no_study_is_named(tmp_path, kind):
    pytest.importorskip("optuna")
    from pneumo_ad.runs.optuna_study import _open_study

    file = tmp_path / "study.db"
    _open_study(file, "search", "maximize")
    mutate(file, kind, np.random.default_rng(0))
    with pytest.raises(DamagedError) as told:
        _open_study(file, "search", "maximize")
    assert str(told.value).startswith(f"{file}: ")


@pytest.mark.parametrize("reason", [PermissionError(13, "Permission denied"), OSError(5, "Input/output error")])
def test_a_file_that_cannot_be_read_is_named_with_the_reason(run, reason, monkeypatch):
    whole = os.open

    def refused(path, *args, **options):
        if str(path).endswith("split.csv"):
            raise reason
        return whole(path, *args, **options)

    monkeypatch.setattr(os, "open", refused)
    with pytest.raises(DamagedError, match=rf"split\.csv: cannot be read \({reason.strerror}\)"):
        load_run(run).radiographs  # noqa: B018
