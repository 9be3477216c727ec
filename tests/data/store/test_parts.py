"""Parts of a store, made apart and joined: the same bytes as of the store that is built at once."""

import re
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from drawn import write_set
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st

from pneumo_ad.data import Radiographs, open_store, sources
from pneumo_ad.data.intensity import LungFieldIntensity
from pneumo_ad.data.store import build
from pneumo_ad.data.store.parts import opened_part, part_folder, parts_there, split_table
from pneumo_ad.data.store.store import store_folder
from pneumo_ad.data.store.upkeep import clear_store, list_stores
from pneumo_ad.errors import ConfigError, DamagedError, DataError
from pneumo_ad.lungs import AutoFields, FileFields, SegmenterFields, WholeImage

SIZE = (64, 64)


@pytest.fixture
def table(tmp_path):
    """Of which some have no mask, in each of three parts: `AutoFields` then asks both."""
    folder = write_set(tmp_path / "set", normal=12, pneumonia=8)
    for name in ("n003", "n008", "p014"):
        (folder / "lung" / f"{name}.png").unlink()
    return sources.masks(folder, val=0.25, test=0.25)


def prepare(table, shards, wanted=None, fit="squash", on_error="raise", derive=lambda store: None):
    folder = store_folder(table, SIZE, fit)
    for shard in range(shards) if wanted is None else wanted:
        with opened_part(folder, table, SIZE, fit, on_error, shard, shards) as part:
            if part:
                derive(part)
    return folder


def built_at_once(table, place, derive=lambda store: None, **options):
    """The bytes of each file of the store, built in a cache of its own."""
    store = open_store(table, SIZE, cache=place, **options)
    derive(store)
    return bytes_of(store.folder)


def bytes_of(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.suffix != ".lock"}


@given(rows=st.integers(1, 40), shards=st.integers(1, 40))
def test_a_table_is_cut_into_stretches_of_about_one_length(rows, shards):
    table = pd.DataFrame({"image": [f"{i:03d}" for i in range(rows)]})
    if shards > rows:
        with pytest.raises(ConfigError, match=f"{shards} shards of {rows} images; .* from 1 to {rows}"):
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
@pytest.mark.parametrize("shards", [1, 2, 3, 20])
def test_joined_parts_are_the_store_that_is_built_at_once_to_the_byte(table, shards, fit, tmp_path):
    whole = built_at_once(table, tmp_path / "whole", fit=fit)
    folder = prepare(table, shards, fit=fit)
    assert not (folder / "store.json").exists()
    assert open_store(table, SIZE, fit).folder == folder
    assert bytes_of(folder) == whole
    assert not folder.with_suffix(".parts").exists()


@pytest.mark.parametrize("lungs", [AutoFields, SegmenterFields, WholeImage])
def test_lung_fields_and_grey_levels_are_joined_and_not_made_again(table, lungs, tmp_path):
    def derive(store):
        LungFieldIntensity()(store, lungs()(store))

    whole = built_at_once(table, tmp_path / "whole", derive)
    folder = prepare(table, 3, derive=derive)
    open_store(table, SIZE)
    assert bytes_of(folder) == whole
    assert any("intensity" in name for name in whole)


def test_what_is_not_in_every_part_is_made_for_all_when_it_is_asked_for(table, tmp_path, caplog):
    prepare(table, 2, [0], derive=SegmenterFields())
    folder = prepare(table, 2, [1])
    store = open_store(table, SIZE)
    assert re.search(r"lungs-\w+-1.npy is not in every part of", caplog.text)
    assert not list(folder.glob("lungs-*.npy"))
    assert len(SegmenterFields()(store)) == len(table)


def unreadable(table, *images):
    for image in images:
        Path(table.loc[table["image"] == image, "path"].item()).write_bytes(b"no image")


def test_files_that_cannot_be_read_are_left_out_as_of_one_store(table, tmp_path):
    unreadable(table, "n002", *table["image"][10:15])  # all of the third part of four
    whole = built_at_once(table, tmp_path / "whole", WholeImage(), on_error="skip")
    for _ in range(2):
        folder = prepare(table, 4, on_error="skip", derive=WholeImage())
    assert parts_there(folder) == {4: [0, 1, 2, 3]}
    store = open_store(table, SIZE, on_error="skip")
    assert bytes_of(folder) == whole
    assert store.skipped == open_store(table, SIZE, on_error="skip", cache=tmp_path / "whole").skipped
    assert set(store.skipped) == {"n002", *table["image"][10:15]}
    with pytest.raises(DataError, match="6 images cannot be used"):
        open_store(table, SIZE)


def test_a_file_that_cannot_be_read_is_refused_by_its_part(table):
    unreadable(table, "n002")
    with pytest.raises(DataError, match="n002"):
        prepare(table, 4, [0])
    folder = prepare(table, 4, [1])
    assert parts_there(folder) == {4: [1]}
    prepare(table, 4, [0], on_error="skip")
    with pytest.raises(DataError, match="n002"):  # it is known of the part that is there
        prepare(table, 4, [0])


def test_no_file_that_can_be_read_is_refused_as_of_one_store(table):
    unreadable(table, *table["image"])
    prepare(table, 2, on_error="skip")
    with pytest.raises(DataError, match="20 images cannot be used"):
        open_store(table, SIZE, on_error="skip")


def test_a_store_that_is_half_made_is_refused_with_the_command_that_goes_on(table):
    folder = prepare(table, 4, [0, 2])
    data = Radiographs(table, 64, patch=8, lungs=FileFields())
    with pytest.raises(DataError, match=r"half made: of its parts 0, 2 of num_shards=4 are there") as told:
        _ = data.store
    assert "pneumo-ad prepare data=... image_size=64 fit=squash num_shards=4 shard=1,3 -m;" in str(told.value)
    assert f"pneumo-ad store clear={folder.name}" in str(told.value)
    prepare(table, 4, [1])
    with pytest.raises(DataError, match=r"num_shards=4 shard=3;"):
        open_store(table, SIZE)
    assert not (folder / "store.json").exists()
    prepare(table, 4, [3])
    assert len(open_store(table, SIZE)) == 20


def test_parts_of_two_cuts_are_named_and_the_one_that_is_whole_is_joined(table, tmp_path):
    whole = built_at_once(table, tmp_path / "whole")
    folder = prepare(table, 8, [1])
    prepare(table, 3, [0, 2])
    with pytest.raises(DataError, match=r"0, 2 of num_shards=3 and 1 of num_shards=8 are there.*num_shards=3 shard=1;"):
        open_store(table, SIZE)
    prepare(table, 3, [1])
    open_store(table, SIZE)
    assert bytes_of(folder) == whole
    assert not folder.with_suffix(".parts").exists()


@pytest.mark.parametrize("name", ["images.npy", "table.csv", "files.csv", "store.json"])
def test_a_damaged_part_is_named_and_made_anew_by_the_command(table, name, tmp_path):
    whole = built_at_once(table, tmp_path / "whole")
    folder = prepare(table, 3)
    file = part_folder(folder, 1, 3) / name
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(DamagedError, match=rf"{name}.*num_shards=3 shard=1"):
        open_store(table, SIZE)
    assert not (folder / "store.json").exists()
    prepare(table, 3, [1])
    open_store(table, SIZE)
    assert bytes_of(folder) == whole


def test_two_that_meet_at_one_part_build_it_once(table, monkeypatch):
    built, decode = [], build._decode
    monkeypatch.setattr(build, "_decode", lambda entry, *rest: built.append(entry["image"]) or decode(entry, *rest))
    meet = threading.Barrier(2)
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(lambda: (meet.wait(), prepare(table, 3, [1]))) for _ in range(2)]:
            done.result()
    assert sorted(built) == table["image"][7:14].tolist()


def test_a_part_is_in_its_place_once_its_lung_fields_are(table):
    folder = store_folder(table, SIZE, "squash")

    def killed(store):
        SegmenterFields()(store)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(table, 2, [0], derive=killed)
    assert parts_there(folder) == {}
    making = folder.with_suffix(".parts") / "0-of-2.making"
    before = {file.name: file.stat().st_mtime_ns for file in making.glob("*.npy")}
    prepare(table, 2, [0], derive=SegmenterFields())
    place = part_folder(folder, 0, 2)
    assert {file.name: file.stat().st_mtime_ns for file in place.glob("*.npy")} == before  # nothing is made twice
    assert not making.exists()


def test_who_comes_late_finds_the_whole(table):
    folder = prepare(table, 2)
    open_store(table, SIZE)
    with opened_part(folder, table, SIZE, "squash", "raise", 1, 2) as part:
        assert part is None
    clear_store(folder)
    assert not list(folder.parent.glob("*.parts"))


def test_nothing_is_left_where_the_disk_is_full(table, monkeypatch):
    folder = prepare(table, 2)
    usage = shutil.disk_usage(folder.parent)._replace(free=1000)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: usage)
        with pytest.raises(DataError, match="MiB free"):
            open_store(table, SIZE)
    assert parts_there(folder) == {2: [0, 1]}
    assert len(open_store(table, SIZE)) == 20


def test_half_made_stores_are_listed_and_cleared_but_for_what_is_under_way(table):
    folder = prepare(table, 4, [0, 2])
    (one,) = list_stores()
    assert one.folder == folder
    assert one.damaged == "half made: parts 0, 2 of 4 are there"
    assert one.bytes >= 10 * 64**2
    with FileLock(f"{part_folder(folder, 2, 4)}.lock"):
        clear_store(folder)
    assert parts_there(folder) == {4: [2]}
    clear_store(folder)
    assert list_stores() == []
    assert not [one for one in folder.with_suffix(".parts").iterdir() if one.is_dir()]


def test_lung_fields_are_not_held_in_memory(table):
    """Whatever tells of the lungs gives rows of a file: memory does not grow with radiographs."""
    for lungs in (AutoFields(), SegmenterFields(), WholeImage()):
        assert isinstance(Radiographs(table, 64, patch=8, lungs=lungs).lung_fields, np.memmap)


def test_many_that_prepare_all_and_join_do_not_trip_over_each_other(table):
    meet, shards = threading.Barrier(4), 4

    def all_of_them():
        meet.wait()
        folder = prepare(table, shards)
        open_store(table, SIZE)
        return folder

    with ThreadPoolExecutor(4) as pool:
        (folder,) = {done.result() for done in [pool.submit(all_of_them) for _ in range(4)]}
    assert not folder.with_suffix(".parts").exists()
    assert len(open_store(table, SIZE)) == len(table)


def test_a_part_whose_folder_goes_while_it_is_waited_for_is_found_joined(table, monkeypatch):
    folder = store_folder(table, SIZE, "squash")
    acquire, gone = FileLock.acquire, []

    def late(self, *args, **kwargs):
        if ".parts" in str(self.lock_file) and not gone:
            gone.append(True)
            shutil.rmtree(folder.with_suffix(".parts"))
            open_store(table, SIZE)
            raise FileNotFoundError(self.lock_file)
        return acquire(self, *args, **kwargs)

    monkeypatch.setattr(FileLock, "acquire", late)
    with opened_part(folder, table, SIZE, "squash", "raise", 0, 2) as part:
        assert part is None


def test_lung_fields_of_a_part_that_are_damaged_are_made_anew(table, tmp_path, caplog):
    whole = built_at_once(table, tmp_path / "once", SegmenterFields())
    folder = prepare(table, 2, derive=SegmenterFields())
    decoded = {"images.npy", "lung.npy", "opacity.npy"}
    (fields,) = [file for file in part_folder(folder, 1, 2).glob("*.npy") if file.name not in decoded]
    fields.write_bytes(fields.read_bytes()[:100])
    store = open_store(table, SIZE)
    assert fields.name in caplog.text
    SegmenterFields()(store)
    assert bytes_of(store.folder) == whole
