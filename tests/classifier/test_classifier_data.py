from pathlib import Path

import numpy as np
import pytest
from drawn import write_kaggle, write_set

from pneumo_ad.classifier import RadiographDataModule
from pneumo_ad.data.sources import chest_xray, masks
from pneumo_ad.errors import ConfigError, DataError
from pneumo_ad.lungs import FileFields


@pytest.fixture
def table(tmp_path):
    return chest_xray(write_kaggle(tmp_path / "kaggle", normal=10, pneumonia=30), val=0.2, test=0.3)


def test_each_patient_is_in_one_split_and_each_radiograph_comes_once(table):
    data = RadiographDataModule(table, 32, batch_size=4)
    rows = {split: data.rows(split) for split in ("train", "val", "test")}
    assert sorted(np.concatenate(list(rows.values()))) == list(range(len(table)))
    patients = {split: set(data.radiographs.store.table["patient"].iloc[of]) for split, of in rows.items()}
    assert not patients["train"] & patients["test"]
    assert not patients["train"] & patients["val"]
    seen = np.concatenate([batch["where"][:, 0] for batch in data.train_dataloader()])
    assert sorted(seen) == rows["train"].tolist()
    assert seen.tolist() != rows["train"].tolist()  # shuffled
    assert np.concatenate([batch["where"][:, 0] for batch in data.val_dataloader()[0]]).tolist() == rows["val"].tolist()


def test_a_batch_holds_the_stores_pixels_and_the_tables_labels(table):
    data = RadiographDataModule(table, (24, 40), batch_size=6)
    batch = next(iter(data.train_dataloader()))
    assert batch["patch"].shape == (6, 1, 24, 40)
    assert np.array_equal(batch["patch"][:, 0], data.radiographs.store.images[batch["where"][:, 0].numpy()])
    assert (
        batch["pneumonia"].tolist()
        == (data.radiographs.store.table["label"].iloc[batch["where"][:, 0]] == "pneumonia").tolist()
    )
    dataset = data.train_dataloader().dataset
    assert np.array_equal(dataset[2]["patch"][0], data.radiographs.store.images[dataset.rows[2]])


def test_another_label_is_never_classified(tmp_path):
    table = masks(write_set(tmp_path / "set", normal=12, pneumonia=12), val=0.3, test=0.3)
    table.loc[table["label"] == "normal", "label"] = ["other", *["normal"] * 11]
    data = RadiographDataModule(table, 32, lungs=FileFields())
    rows = np.concatenate([data.rows(split) for split in ("train", "val", "test")])
    assert set(data.radiographs.store.table["label"].iloc[rows]) == {"normal", "pneumonia"}
    assert len(rows) == 23
    assert data.radiographs.lung_fields.shape == (24, 32, 32)


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_a_split_of_one_class_is_refused_by_name_before_a_file_is_read(table, split):
    table.loc[(table["split"] == split) & (table["label"] == "normal"), "label"] = "other"
    with pytest.raises(DataError, match=f"no image of label=normal in the {split} split.*{split}/pneumonia: "):
        RadiographDataModule(table, 32)


def test_a_class_whose_files_cannot_be_read_is_refused_by_name(table):
    lost = table[(table["split"] == "val") & (table["label"] == "normal")]
    for path in lost["path"]:
        Path(path).write_bytes(b"nothing")
    data = RadiographDataModule(table, 32, on_error="skip")
    with (
        pytest.warns(UserWarning, match="were skipped"),
        pytest.raises(DataError, match="no image of label=normal in the val"),
    ):
        data.prepare_data()


@pytest.mark.parametrize("arguments", [{"image_size": 0}, {"image_size": (8, 8, 8)}, {"batch_size": 0}])
def test_sizes_that_cannot_be_are_refused(table, arguments):
    with pytest.raises(ConfigError, match=rf"{next(iter(arguments))}=.* must be .*at least 1"):
        RadiographDataModule(table, **arguments)
