"""What a csv says, from the command line to a run that is opened again."""

import json
from pathlib import Path

import pandas as pd
import pytest
from drawn import write_set
from running import TINY, start

FAST = [*(one for one in TINY if not one.startswith("data.")), "per_epoch=32"]


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write_set(tmp_path / "set", normal=12, pneumonia=8)


def listed(root, **columns):
    table = pd.read_csv(root / "index.csv", dtype=str).assign(**columns)
    table.to_csv(root / "index.csv", index=False)
    return table


def opened_again(run, subset):
    assert start("evaluate", f"run={run}", f"subset={subset}", f"output={subset}") == 0
    return pd.read_csv(Path(subset) / "images.csv", dtype=str).set_index("image")


def test_labels_of_numbers_are_refused_before_a_store_is_built_and_mapped_as_typed(root, cache, capsys):
    table = listed(root)
    listed(root, label=table["label"].map({"normal": "0.0", "pneumonia": "1.0"}))
    words = ["data=masks", "data.root=set", "hydra.run.dir=run"]
    assert start("train", *FAST, *words) == 2
    told = capsys.readouterr().err
    assert "20 of 20 labels are none of normal, pneumonia, other: '0.0' (12 rows), '1.0' (8 rows)" in told
    assert not list(cache.rglob("*.npy"))
    assert start("train", *FAST, *words, "data.labels={0: normal, 1: pneumonia}", "hydra.run.dir=mapped") == 0
    images = opened_again("mapped", "all")
    assert images["label"].to_dict() == table.set_index("image")["label"].to_dict()


def test_masks_by_a_pattern(root):
    for file in (root / "lung").iterdir():
        file.rename(file.with_name(f"{file.stem}_mask.png"))
    assert (
        start("train", *FAST, "data=masks", "data.root=set", "data.lung_dir=set/lung/*_mask", "hydra.run.dir=run") == 0
    )
    assert start("evaluate", "run=run", "output=out") == 0
    assert json.loads(Path("out/metrics.json").read_text())["counts/images_without_lung"] == 0


def test_the_split_of_the_csv_is_that_of_the_run(root):
    patients = listed(root)["patient"].unique()
    splits = dict(zip(patients, ["train", "TEST", "val", "train", "train"] * 2, strict=True))
    table = listed(root, split=listed(root)["patient"].map(splits))
    assert start("train", *FAST, "data=masks", "data.root=set", "hydra.run.dir=run") == 0
    kept = pd.read_csv("run/split.csv", dtype=str).set_index("image")["split"]
    assert kept.to_dict() == table.set_index("image")["split"].str.lower().to_dict()
    assert set(opened_again("run", "test").index) == set(kept.index[kept == "test"])


def test_a_run_that_dealt_patients_beside_such_a_column_opens_as_it_was(root):
    """As runs of versions did that had no `split=auto`, whatever the column says."""
    older = ["data.split=patient", "data.default_label=other"]
    assert start("train", *FAST, "data=masks", "data.root=set", "hydra.run.dir=run", *older) == 0
    before = opened_again("run", "test")
    listed(root, split=["sideways", "train", "test", ""] * 5)
    again = opened_again("run", "val")
    assert set(again.index).isdisjoint(before.index)
    pd.testing.assert_frame_equal(opened_again("run", "test"), before)
