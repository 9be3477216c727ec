"""The detector that ships: whole, small, of no path, and taken where no `run=` is given."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from running import start
from safetensors import safe_open

from pneumo_ad.data.sources import phantom
from pneumo_ad.errors import DataError
from pneumo_ad.metrics.ranking import auroc
from pneumo_ad.prediction.opening import open_predictor
from pneumo_ad.runs import shipped
from pneumo_ad.runs.run import default_output, load_run
from pneumo_ad.runs.shipped import SHIPPED
from pneumo_ad.saved import file_digest

WEIGHTS = SHIPPED / "checkpoints" / "best.safetensors"


def files():
    return {file.relative_to(SHIPPED): file.read_bytes() for file in SHIPPED.rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Eight drawn radiographs as files, half of them with opacities; the table that tells of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PNEUMO_AD_CACHE", str(tmp_path_factory.mktemp("cache")))
        return phantom(normal=4, pneumonia=4, size=256, seed=3)


def test_what_ships_is_small_and_names_no_place(monkeypatch):
    monkeypatch.delenv("PNEUMO_AD_DATA", raising=False)
    held = files()
    assert sum(map(len, held.values())) < 12e6
    for name, content in held.items():
        if name.suffix in (".yaml", ".json", ".csv", ".md"):
            assert not re.search(r"(?<![\w.\]])/(home|work|tmp|root|mnt|data)/", content.decode()), name
    assert load_run(SHIPPED).module.net is not None


def test_its_weights_are_those_of_the_card_and_hold_numbers_alone():
    card = (SHIPPED / "MODEL_CARD.md").read_text()
    assert file_digest(WEIGHTS)[:12] in card
    with safe_open(str(WEIGHTS), framework="pt") as weights:
        assert all(weights.get_tensor(key).isfinite().all() for key in weights.keys())  # noqa: SIM118
    story = json.loads((SHIPPED / "run.json").read_text())
    assert f"{story['epochs']} epochs" in card


def test_no_radiograph_that_it_learnt_from_is_of_another_label_or_in_two_splits():
    split = pd.read_csv(SHIPPED / "split.csv")
    learnt = split[split["split"].isin(("train", "val"))]
    assert set(learnt["label"]) == {"normal"}
    assert split.groupby("patient")["split"].nunique().max() == 1


def test_it_decides_by_held_out_normals_and_tells_three_kinds():
    judge = open_predictor(SHIPPED)
    assert len(judge.standard.normals) >= 99
    assert not judge.standard.limits
    assert judge.standard.thresholds.tell_outside


def test_drawn_opacities_are_found_better_than_by_chance(pictures, tmp_path, monkeypatch):
    monkeypatch.setenv("PNEUMO_AD_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    before = files()
    options = ["data=phantom", "data.normal=12", "data.pneumonia=12", "data.split=test"]
    assert start("evaluate", *options) == 0
    (measured,) = (tmp_path / "detector" / "evaluations").glob("*/metrics.json")
    metrics = json.loads(measured.read_text())
    assert metrics["pixel/auroc_in_lung"] > 0.6
    assert metrics["pixel/pointing_game_in_lung"] > metrics["pixel/pointing_game_in_lung_chance"]
    assert files() == before  # the package is not written to


def test_files_are_judged_without_a_run_and_as_its_python_says(pictures, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "in"
    folder.mkdir()
    for path in pictures["path"]:
        (folder / path.rpartition("/")[2]).symlink_to(path)
    assert start("predict", f"input={folder}", "output=found") == 0
    table = pd.read_csv("found/predictions.csv")
    assert len(table) == len(pictures)
    assert table["p_value"].between(0, 1).all()
    assert set(table["windows_outside"] > 0) == {True}


def test_an_export_needs_no_run_and_says_the_same(pictures, tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    monkeypatch.setenv("PNEUMO_AD_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    assert start("export", "format=onnx") == 0
    mine, exported = open_predictor(SHIPPED), open_predictor(tmp_path / "detector" / "export" / "onnx")
    images = np.random.default_rng(0).integers(0, 255, (2, *mine.grid.image_size), dtype=np.uint8)
    own, other = (judge(images, np.ones_like(images)) for judge in (mine, exported))
    assert np.allclose(own.maps, other.maps, atol=1e-3, equal_nan=True)


def test_an_installation_without_weights_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(shipped, "SHIPPED", tmp_path)
    with pytest.raises(DataError, match=r"missing from this installation.*run=RUN"):
        load_run(tmp_path)


@pytest.mark.parametrize("named", [SHIPPED, SHIPPED.parent / ".." / "shipped" / "detector", "linked"])
def test_however_it_is_named_the_package_is_not_written_to(named, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "linked").symlink_to(SHIPPED)
    assert default_output(Path(named), ["stride=4"]).parts[0] == "detector"


def test_its_own_data_are_no_part_of_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PNEUMO_AD_DATA", raising=False)
    assert start("evaluate", "stride=40") != 0
    assert "data=folder data.root=DIR" in capsys.readouterr().err


def test_opacities_score_above_none(pictures):
    from pneumo_ad.data.radiographs import Radiographs

    judge = open_predictor(SHIPPED)
    data = Radiographs(pictures.assign(split="test"), judge.grid.image_size, patch=32, stride=20, lungs=judge.lungs)
    rows = data.rows(None)
    scores = judge(np.asarray(data.images[rows]), data.store.content(rows)).scores
    assert auroc(scores, (data.table["label"].iloc[rows] != "normal").to_numpy()) > 0.5
