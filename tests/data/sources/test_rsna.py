import json

import numpy as np
import pandas as pd
import pytest
from dicoms import write_rsna
from running import TINY, start, story

from pneumo_ad.data import open_store, sources
from pneumo_ad.data.truth import PixelTruth
from pneumo_ad.errors import DataError

BOXES, CLASSES = "stage_2_train_labels.csv", "stage_2_detailed_class_info.csv"


@pytest.fixture
def root(tmp_path):
    return write_rsna(tmp_path / "rsna", compressed=["00000005-rsna"])


def edited(root, name, change):
    """The refusal after a csv was changed."""
    listed = pd.read_csv(root / name, dtype=str, keep_default_na=False)
    change(listed).to_csv(root / name, index=False)
    with pytest.raises(DataError) as refused:
        sources.rsna(root)
    return str(refused.value)


def test_classes_boxes_and_headers_become_a_table(root):
    table = sources.rsna(root, split="test")
    assert table["label"].value_counts().to_dict() == {"normal": 4, "pneumonia": 4, "other": 2}
    boxes = table["boxes"].map(json.loads)
    assert (boxes.map(len) == np.where(table["label"] == "pneumonia", 2, 0)).all()
    assert (table["view"] == np.where(table["label"] == "pneumonia", "AP", "PA")).all()
    assert (table["sex"] == "F").all()
    assert table["age"].tolist() == [40.0 + i for i in range(10)]
    assert set(table["class"]) == {"Normal", "Lung Opacity", "No Lung Opacity / Not Normal"}
    assert (table["patient"] == table["image"]).all()
    without = sources.rsna(root, split="test", headers=False)
    assert without.equals(table.drop(columns=["view", "sex", "age"]))


def test_opacities_are_known_of_every_radiograph(root):
    store = open_store(sources.rsna(root, split="test"), (48, 48))
    truth = PixelTruth(store, fields=None)
    assert truth.known.all()
    sick = (store.table["label"] == "pneumonia").to_numpy()
    assert (store.opacity[sick].mean(axis=(1, 2)) > 0.1).all()
    assert not store.opacity[~sick].any()


def test_test_images_without_labels_are_left_out(root):
    (root / "stage_2_test_images").mkdir()
    (next((root / "stage_2_train_images").iterdir())).rename(root / "stage_2_test_images" / "a.dcm")
    assert "lists 1 images that are not in" in edited(root, BOXES, lambda listed: listed)
    assert len(sources.rsna(write_rsna(root / "again"))) == 10


@pytest.mark.parametrize("name", ["stage_2_train_images", BOXES, CLASSES])
def test_what_is_missing_is_named(root, name):
    (root / name).rename(root / "moved")
    with pytest.raises(DataError, match=f"lacks {name}; found .*moved"):
        sources.rsna(root)


def test_csv_files_that_leave_out_or_contradict_are_refused(tmp_path):
    def fresh():
        fresh.count += 1
        return write_rsna(tmp_path / str(fresh.count), normal=2, sick=1, other=1)

    fresh.count = 0
    assert "tells nothing of 1 images" in edited(fresh(), CLASSES, lambda listed: listed.iloc[1:])
    assert "tells nothing of 1 images" in edited(fresh(), BOXES, lambda listed: listed.iloc[1:])
    assert "none of ['Normal', 'Lung Opacity'" in edited(
        fresh(), CLASSES, lambda listed: listed.replace("Normal", "fine")
    )
    assert "contradict each other in 1 images: 00000002-rsna is 'Normal'" in edited(
        fresh(), CLASSES, lambda listed: listed.replace("Lung Opacity", "Normal")
    )
    two = edited(
        fresh(), CLASSES, lambda listed: pd.concat([listed, listed.iloc[:1].assign(**{"class": "Lung Opacity"})])
    )
    assert "1 images have more than one row, for example 00000000-rsna in lines 2 and " in two
    assert "differ in class ('Normal' or 'Lung Opacity')" in two


def test_a_split_beside_the_classes_is_kept(root):
    listed = pd.read_csv(root / CLASSES, dtype=str)
    splits = np.where(listed["patientId"].str[:8].astype(int) % 3 == 0, "TEST", "training")
    listed.assign(split=splits).to_csv(root / CLASSES, index=False, sep=";")
    table = sources.rsna(root)
    assert ((table["split"] == "test") == (table["image"].str[:8].astype(int) % 3 == 0)).all()
    assert set(sources.rsna(root, split="patient")["split"]) == {"train", "val", "test"}
    several = listed[listed["patientId"].duplicated()].index[0]  # a line for each box
    refused = edited(root, CLASSES, lambda _: listed.assign(split=np.where(listed.index == several, "train", "test")))
    assert "which differ in split ('test' or 'train')" in refused
    assert "'sideways'" in edited(root, CLASSES, lambda _: listed.assign(split="sideways"))


def test_classes_in_other_cases_and_with_blanks_are_read_and_strange_ones_counted(root):
    expected = sources.rsna(root, split="test")
    listed = pd.read_csv(root / CLASSES, dtype=str)
    listed.assign(**{"class": listed["class"].str.upper() + " "}).to_csv(root / CLASSES, index=False)
    assert sources.rsna(root, split="test").equals(expected)
    count = int((listed["class"] == "Normal").sum())
    refused = edited(root, CLASSES, lambda _: listed.replace("Normal", "0"))
    assert f"{count} rows have a class that is none of ['Normal', 'Lung Opacity'" in refused
    assert f"'0' ({count} rows)" in refused


def test_an_unreadable_header_is_named_and_left_to_the_store(root):
    broken = root / "stage_2_train_images" / "00000003-rsna.dcm"
    broken.write_bytes(broken.read_bytes()[:100])
    with pytest.warns(UserWarning, match=r"1 headers cannot be read, for example .*00000003-rsna\.dcm"):
        table = sources.rsna(root, split="test")
    assert table.set_index("image")["view"]["00000003-rsna"] == ""
    store = open_store(table, (48, 48), on_error="skip")
    assert list(store.skipped) == ["00000003-rsna"]
    assert len(store) == 9


def test_a_run_from_dicom_to_metrics(tmp_path):
    root = write_rsna(tmp_path / "rsna", normal=24, sick=12, other=4)
    own = [one for one in TINY if not one.startswith("data.")]
    run = tmp_path / "run"
    status = start("train", "data=rsna", f"data.root={root}", *own, "evaluate=test", f"hydra.run.dir={run}")
    assert status == 0
    assert story(run)["status"] == "finished"
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["counts/images"] == 8
    groups = pd.read_csv(run / "subgroups.csv")
    assert set(zip(groups["column"], groups["value"], strict=True)) == {("view", "PA"), ("view", "AP")}
