"""Many stores, opened as one: what is read of them is what the one store of the whole table gives."""

import os
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from drawn import write_set
from hypothesis import given
from hypothesis import strategies as st

from pneumo_ad.data import PatchDataModule, open_store, shards, sources
from pneumo_ad.data.intensity import LungFieldIntensity
from pneumo_ad.data.shards import join_stores, open_shards, split_table
from pneumo_ad.data.sources.table import check_table
from pneumo_ad.data.store import store
from pneumo_ad.data.store.upkeep import clear_store, list_stores
from pneumo_ad.errors import ConfigError, DataError
from pneumo_ad.labels import UNDEALT
from pneumo_ad.lungs import AutoFields, FileFields, SegmenterFields, WholeImage
from pneumo_ad.patches.joined import Joined
from pneumo_ad.runs.split import keep_split, write_split

SIZE = (64, 64)


@pytest.fixture
def table(tmp_path):
    folder = write_set(tmp_path / "set", normal=12, pneumonia=8)
    for name in ("n003", "p014"):  # some have no mask: `AutoFields` then asks both
        (folder / "lung" / f"{name}.png").unlink()
    return sources.masks(folder, val=0.25, test=0.25)


def prepare(table, shards, fit="squash", wanted=None, **options):
    parts = split_table(table, shards)
    return [open_store(parts[i], SIZE, fit, **options) for i in (range(shards) if wanted is None else wanted)]


def module(table, **options):
    return PatchDataModule(table, **{"image_size": 64, "patch": 8, "stride": 4, "lungs": FileFields()} | options)


@given(rows=st.integers(1, 40), shards=st.integers(1, 40))
def test_a_table_is_cut_into_stretches_of_about_one_length(rows, shards):
    table = pd.DataFrame({"image": [f"{i:03d}" for i in range(rows)]})
    if shards > rows:
        with pytest.raises(ConfigError, match=f"{shards} shards of {rows} radiographs; .* from 1 to {rows}"):
            split_table(table, shards)
        return
    parts = split_table(table, shards)
    assert len(parts) == shards
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), table)


@pytest.mark.parametrize("wrong", [0, -1, 2.0, True, "2"])
def test_a_number_of_shards_that_cannot_be_is_refused(wrong):
    with pytest.raises(ConfigError, match="from 1 to 3"):
        split_table(pd.DataFrame({"image": list("abc")}), wrong)


@pytest.mark.parametrize("fit", ["squash", "pad"])
@pytest.mark.parametrize("shards", [2, 3, 20])
def test_shards_open_as_the_store_of_the_whole_table(table, shards, fit):
    whole = open_store(table, SIZE, fit)
    prepare(table, shards, fit)
    store, missing = open_shards(table, SIZE, fit, shards)
    assert missing == ()
    assert len(store) == len(whole)
    assert store.image_size == SIZE
    for name in ("images", "lung", "opacity"):
        assert np.array_equal(np.asarray(getattr(store, name)), getattr(whole, name))
    pd.testing.assert_frame_equal(store.table, whole.table)
    rows = np.array([19, 0, 7])
    assert np.array_equal(store.content(rows), whole.content(rows))
    assert store.placement(13) == whole.placement(13)


@pytest.mark.parametrize("lungs", [AutoFields, SegmenterFields, WholeImage])
def test_what_is_derived_is_derived_by_shard_and_is_the_same(table, lungs):
    prepare(table, 3)
    options = {"lungs": lungs(), "intensity": LungFieldIntensity(), "patch": 8}
    one, many = module(table, **options), module(table, **options, shards=3)
    assert np.array_equal(np.asarray(many.lung_fields), one.lung_fields)
    assert np.array_equal(np.asarray(many.images), one.images)
    assert len(np.unique(np.asarray(one.images))) > 10
    for part in many.store.shards:  # kept beside each
        assert list(part.folder.glob("intensity-*.npy"))
    assert np.array_equal(many.rows_without_lung(), one.rows_without_lung())


def test_batches_are_those_of_one_store(table, monkeypatch):
    monkeypatch.setattr(Joined, "__array__", lambda *_, **__: pytest.fail("all shards were read into memory"))
    table = table[table["lung"] != ""].reset_index(drop=True)
    prepare(table, 3)
    one, many = module(table), module(table, shards=3)

    def batches(data):
        return [data.train_dataloader(), *data.val_dataloader(), *data.test_dataloader()]

    for here, there in zip(batches(one), batches(many), strict=True):
        for a, b in zip(here, there, strict=True):
            assert a["patch"].equal(b["patch"])
            assert a["where"].equal(b["where"])
    known = np.flatnonzero(one.truth.known)
    assert all(np.array_equal(one.truth.pixels(row), many.truth.pixels(row)) for row in known)
    assert np.array_equal(one.truth.known, many.truth.known)


def test_one_shard_is_a_store_and_nothing_else(table):
    (built,) = prepare(table, 1)
    assert open_shards(table, SIZE, "squash", 1).store.folder == built.folder == open_store(table, SIZE).folder
    assert isinstance(module(table, lungs=AutoFields()).images, np.memmap)
    assert len(list_stores()) == 1


def test_a_missing_shard_is_named_with_the_command_that_builds_it(table):
    prepare(table, 4, wanted=[0, 2])
    with pytest.raises(
        DataError, match=r"2 of 4 shards are not in .*: 1, 3\. .*pneumo-ad prepare .*image_size=64"
    ) as e:
        module(table, shards=4).prepare_data()
    assert "fit=squash num_shards=4 shard=1,3 -m" in str(e.value)
    assert "missing_shards=skip" in str(e.value)
    assert len(list_stores()) == 2  # none was built on the way
    prepare(table, 4, wanted=[1])
    with pytest.raises(DataError, match=r"1 of 4 shards .* num_shards=4 shard=3, or"):
        module(table, shards=4).prepare_data()


def test_a_missing_shard_may_be_left_out_and_is_counted(table):
    prepare(table, 4, wanted=[0, 2, 3])
    data = module(table, shards=4, missing_shards="skip", lungs=AutoFields())
    with pytest.warns(UserWarning, match=r"1 of 4 shards were not prepared \(1\): 5 of 20 radiographs are left out"):
        assert len(data.store) == 15
    assert data.shards_left_out == (1,)
    left = set(split_table(table, 4)[1]["image"])
    assert set(data.store.table["image"]) == set(table["image"]) - left
    data.prepare_data()
    assert len(data.images) == 15


def test_no_shard_at_all_is_refused_even_where_some_may_be_missing(table):
    with pytest.raises(DataError, match="4 of 4 shards") as e:
        module(table, shards=4, missing_shards="skip").prepare_data()
    assert "missing_shards" not in str(e.value)


def test_an_unknown_way_with_missing_shards_is_refused(table):
    with pytest.raises(ConfigError, match="missing_shards='ignore' is not known; expected 'raise' or 'skip'"):
        module(table, shards=2, missing_shards="ignore")
    with pytest.raises(ConfigError, match="missing_shards='ignore'"):
        module(table, missing_shards="ignore")


def test_stores_of_different_size_or_fit_are_not_opened_together(table):
    parts = split_table(table, 2)
    first = open_store(parts[0], SIZE)
    for size, fit, word in (((48, 64), "squash", "image_size"), (SIZE, "pad", "fit")):
        other = open_store(parts[1], size, fit)
        with pytest.raises(DataError, match=f"stores of different {word}") as e:
            join_stores([first, other])
        assert str(first.folder) in str(e.value)
        assert str(other.folder) in str(e.value)


def test_stores_that_share_a_radiograph_are_not_opened_together(table):
    with pytest.raises(DataError, match=r"4 radiographs are in more than one store, for example n008"):
        join_stores([open_store(table.iloc[:12], SIZE), open_store(table.iloc[8:], SIZE)])


def test_files_that_cannot_be_read_are_left_out_as_of_one_store(table):
    for image in ("n002", "p015"):
        Path(table.loc[table["image"] == image, "path"].item()).write_bytes(b"no image")
    prepare(table, 3, on_error="skip")
    whole = open_store(table, SIZE, on_error="skip")
    store, _ = open_shards(table, SIZE, "squash", 3, on_error="skip")
    assert store.skipped == whole.skipped
    assert set(store.skipped) == {"n002", "p015"}
    assert np.array_equal(np.asarray(store.images), whole.images)
    with pytest.raises(DataError, match="cannot be used"):
        open_shards(table, SIZE, "squash", 3)


def test_a_split_or_a_label_dealt_anew_needs_no_new_shards(table):
    prepare(table, 3)
    other = check_table(table.assign(split="test", label="normal"))
    store, missing = open_shards(other, SIZE, "squash", 3)
    assert not missing
    assert set(store.table["split"]) == {"test"}


def test_the_joined_store_is_listed_once_and_cleared_like_others(table):
    prepare(table, 3)
    key = [open_shards(table, SIZE, "squash", 3).store.key for _ in range(2)]
    assert key[0] == key[1]
    listed = {one.folder.name: one for one in list_stores()}
    assert len(listed) == 4
    assert listed[key[0]].images == 20
    clear_store(listed[key[0]].folder)
    assert open_shards(table, SIZE, "squash", 3).store.key == key[0]


def test_lung_fields_are_not_held_in_memory(table):
    """Whatever tells of the lungs gives rows of a file: memory does not grow with radiographs."""
    for lungs in (AutoFields(), SegmenterFields(), WholeImage()):
        assert isinstance(module(table, lungs=lungs).lung_fields, np.memmap)


def test_training_on_shards_warns_of_nothing(table):
    prepare(table, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        module(table, shards=2, lungs=AutoFields()).prepare_data()


def test_what_a_run_never_dealt_is_in_no_split_and_named(table, tmp_path):
    """A shard that came after the training: its radiographs are opened, warned of once, and in no split at all."""
    prepare(table, 2, wanted=[0])
    options = {"shards": 2, "missing_shards": "skip"}
    with pytest.warns(UserWarning, match="1 of 2 shards were not prepared"):
        write_split(module(table, **options).store.table, tmp_path)
    dealt = (tmp_path / "split.csv").read_text()
    prepare(table, 2, wanted=[1])
    for _ in range(2):  # the second time after a resumption, which writes the split anew
        data = module(table, **options)
        keep_split(data, tmp_path)
        later = data.table.loc[data.table["split"] == UNDEALT, "image"]
        assert len(later) == 10
        with pytest.warns(UserWarning, match=f"10 radiographs came after .* dealt its splits.*{later.iloc[0]}, "):
            assert len(data.store) == 20
        assert set(data.store.table["image"].iloc[data.rows(None)]).isdisjoint(later)
        assert len(data.rows(None)) == 10
        assert len(data.rows(None, "normal")) + len(data.rows(None, "pneumonia")) == 10
        write_split(data.store.table, tmp_path)
        assert (tmp_path / "split.csv").read_text() == dealt


def test_a_split_of_a_run_that_wrote_who_was_in_none_is_read(table, tmp_path):
    table.assign(split="train").to_csv(tmp_path / "split.csv", index=False)
    text = (tmp_path / "split.csv").read_text()
    (tmp_path / "split.csv").write_text(text.replace("train", UNDEALT, 1))
    data = module(table, on_error="skip")
    keep_split(data, tmp_path)
    assert (data.table["split"] == UNDEALT).sum() == 1
    with pytest.warns(UserWarning, match="1 radiographs came after"):
        assert len(data.rows(None)) == 19


def test_shards_that_only_others_may_write_are_opened(table, monkeypatch):
    """Joined once, they are opened by whoever may read them: nothing is written, no lock taken."""
    prepare(table, 2)
    first = open_shards(table, SIZE, "squash", 2).store

    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(shards, "FileLock", refuse)
    monkeypatch.setattr(shards, "write_json", refuse)
    monkeypatch.setattr(store.os, "utime", refuse)
    again = open_shards(table, SIZE, "squash", 2).store
    assert again.key == first.key
    assert np.array_equal(np.asarray(again.images), np.asarray(first.images))


def test_joined_shards_are_marked_as_used(table):
    prepare(table, 2)
    about = open_shards(table, SIZE, "squash", 2).store.folder / "store.json"
    os.utime(about, (0, 0))
    open_shards(table, SIZE, "squash", 2)
    assert about.stat().st_mtime > 0
