import errno
import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import wait
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from drawn import lung_mask, opacity_mask, radiograph, table_of, write_set
from PIL import Image

from pneumo_ad.data import sources
from pneumo_ad.data.readers.radiograph import read_radiograph
from pneumo_ad.data.store import array_file, store
from pneumo_ad.data.store import build as building
from pneumo_ad.data.store.cached_array import cached_array
from pneumo_ad.data.store.opening import open_store
from pneumo_ad.data.store.store import store_key
from pneumo_ad.data.store.upkeep import clear_store, list_stores
from pneumo_ad.errors import ConfigError, DataError

SIZE = (48, 40)
SPAWN = multiprocessing.get_context("spawn")
FORK = multiprocessing.get_context("fork")  # a process of its own without the seconds that imports take


@pytest.fixture
def table(tmp_path):
    return sources.masks(write_set(tmp_path / "set", normal=4, pneumonia=4))


def stores(cache):
    """What lies in the folder of stores, locks aside."""
    folder = cache / "stores"
    return sorted(entry.name for entry in folder.iterdir() if entry.suffix != ".lock") if folder.is_dir() else []


def spoil(path, content=b"\xff\xd8\xff\xe0 no picture"):
    Path(path).write_bytes(content)


def build_slowly(table, results):
    """The body of a process of its own: tells when it begins to read, and at the end what it opened."""
    read = building.read_fitted

    def slow(path, *how):
        results.put("reading")
        time.sleep(0.05)
        return read(path, *how)

    building.read_fitted = slow
    opened = open_store(table, SIZE)
    results.put((opened.key, hashlib.sha256(opened.images.tobytes()).hexdigest()))


def test_a_store_holds_what_the_files_hold(table):
    opened = open_store(table, SIZE)
    assert opened.images.shape == opened.lung.shape == opened.opacity.shape == (8, *SIZE)
    assert opened.images.dtype == opened.lung.dtype == opened.opacity.dtype == np.uint8
    assert opened.table["image"].tolist() == table["image"].tolist()
    for row, entry in opened.table.iterrows():
        with Image.open(entry["path"]) as file:
            expected = np.asarray(file.resize(SIZE[::-1], Image.Resampling.BILINEAR), dtype=int)
        assert np.abs(opened.images[row] - expected).max() <= 1
        assert (opened.lung[row] == lung_mask(*SIZE)).mean() > 0.97
        truth = opacity_mask(*SIZE) if entry["label"] == "pneumonia" else np.zeros(SIZE, dtype=bool)
        assert (opened.opacity[row] == truth).mean() > 0.97
        assert (entry["height"], entry["width"]) == (96, 80)
        assert entry["has_lung"]
        assert entry["has_opacity"] == (entry["label"] == "pneumonia")
    assert set(np.unique(opened.lung)) == set(np.unique(opened.opacity)) == {0, 1}


def test_images_are_memory_mapped_and_need_no_pickle(table):
    opened = open_store(table, SIZE)
    for name in ("images", "lung", "opacity"):
        assert isinstance(getattr(opened, name), np.memmap)
        loaded = np.load(opened.folder / f"{name}.npy", allow_pickle=False)
        assert np.array_equal(loaded, getattr(opened, name))
        with pytest.raises(ValueError, match="read-only"):
            getattr(opened, name)[0] = 0


def test_masks_that_are_not_there_are_zeros_and_take_no_room(tmp_path):
    for i in range(4):
        Image.fromarray(radiograph(i)).save(tmp_path / f"{i}.png")
    Image.fromarray(lung_mask(96, 80)).save(tmp_path / "lung.png")
    table = table_of(sorted(tmp_path.glob("[0-9].png")))
    table.loc[[0, 2], "lung"] = str(tmp_path / "lung.png")  # one hole in the middle, one at the end
    opened = open_store(table, (512, 512))
    assert opened.lung[[0, 2]].any(axis=(1, 2)).all()
    assert not opened.lung[[1, 3]].any()
    assert opened.lung.shape == opened.opacity.shape == (4, 512, 512)
    assert not opened.opacity.any()
    written = {name: (opened.folder / f"{name}.npy").stat() for name in ("images", "lung", "opacity")}
    assert len({stat.st_size for stat in written.values()}) == 1
    assert list_stores()[0].bytes == sum(file.stat().st_blocks * 512 for file in opened.folder.iterdir())
    if written["opacity"].st_blocks * 512 < written["opacity"].st_size:  # not every disk has holes
        assert written["opacity"].st_blocks * 512 < 512 * 512
        assert written["lung"].st_blocks * 512 < 3 * 512 * 512


def test_few_radiographs_are_decoded_ahead_of_the_one_that_is_written(table, monkeypatch):
    monkeypatch.setattr(building, "reading_threads", lambda: 1)
    monkeypatch.setattr(building, "_AHEAD", 2)
    read, decoded, ahead = building.read_fitted, [], []
    monkeypatch.setattr(building, "read_fitted", lambda path, *how: (decoded.append(path), read(path, *how))[1])
    write = array_file.ArrayFile.write

    def watched(self, row):
        if Path(self._file.name).name == "images.npy":
            time.sleep(0.05)
            ahead.append(len(decoded) - self._written)
        write(self, row)

    monkeypatch.setattr(array_file.ArrayFile, "write", watched)
    assert len(open_store(table, SIZE)) == 8
    assert max(ahead) == 2  # the one that is written and the one after it
    assert sorted(decoded) == sorted(table["path"])


def test_a_store_is_built_once(table, monkeypatch):
    first = open_store(table, SIZE)

    def never(path, *how):
        raise AssertionError(f"{path} was decoded again")

    monkeypatch.setattr(building, "read_fitted", never)
    second = open_store(table, SIZE)
    assert second.key == first.key
    assert np.array_equal(second.images, first.images)
    assert second.table.equals(first.table)


def test_labels_and_splits_of_today_go_with_the_stored_images(table):
    open_store(table, SIZE)
    changed = table.assign(label="other", split="test", note="new")
    assert store_key(changed, SIZE, "squash") == store_key(table, SIZE, "squash")
    opened = open_store(changed, SIZE)
    assert set(opened.table["label"]) == {"other"}
    assert set(opened.table["split"]) == {"test"}
    assert set(opened.table["note"]) == {"new"}


def test_the_key_follows_files_size_and_fit_alone(table):
    key = store_key(table, SIZE, "squash")
    assert store_key(table.sample(frac=1, random_state=0), SIZE, "squash") == key
    keys = {key, store_key(table, SIZE, "pad"), store_key(table, SIZE[::-1], "squash")}
    keys |= {store_key(changed, SIZE, "squash") for changed in (table[1:], table.assign(lung=""))}
    stat = Path(table["path"][0]).stat()
    os.utime(table["path"][0], ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000))
    keys.add(store_key(table, SIZE, "squash"))
    spoil(table["opacity"].iloc[-1], b"longer")
    keys.add(store_key(table, SIZE, "squash"))
    assert len(keys) == 7


def test_a_changed_file_is_read_anew(table):
    before = open_store(table, SIZE)
    Image.fromarray(np.zeros((96, 80), dtype=np.uint8)).save(table["path"][0])
    after = open_store(table, SIZE)
    assert before.images[0].any()
    assert not after.images[0].any()


def test_deep_files_are_windowed_at_full_depth_and_the_window_is_recorded(tmp_path):
    ramp = np.tile(np.arange(4096, dtype=np.uint16), (64, 1))
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    opened = open_store(table_of([tmp_path / "deep.png"]), (64, 256))
    assert opened.images[0].min() <= 1
    assert opened.images[0].max() >= 254
    assert opened.table["window_high"][0] == pytest.approx(4091, abs=5)
    expected = read_radiograph(tmp_path / "deep.png")[0].reshape(64, 256, 16).mean(axis=2) * 255
    assert np.abs(opened.images[0] - expected).max() < 2


def test_every_kind_of_file_goes_in(tmp_path):
    grey = radiograph(0, 40, 40)
    Image.fromarray(grey).convert("RGBA").save(tmp_path / "rgba.png")
    Image.fromarray(grey).convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    Image.fromarray(grey).convert("P").save(tmp_path / "palette.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    Image.fromarray(grey).resize((5, 5)).save(tmp_path / "smaller_than_a_patch.png")
    opened = open_store(table_of(sorted(tmp_path.glob("*.*"))), (40, 40))
    assert len(opened) == 5
    for row, name in enumerate(opened.table["image"]):
        correlation = np.corrcoef(opened.images[row].ravel(), grey.ravel())[0, 1]
        assert correlation > (0.98 if "small" not in name else 0.5), name


@pytest.mark.parametrize("fit", ["squash", "pad"])
def test_padding_is_known(tmp_path, fit):
    Image.fromarray(np.full((30, 60), 200, dtype=np.uint8)).save(tmp_path / "wide.png")
    opened = open_store(table_of([tmp_path / "wide.png"]), (32, 32), fit)
    assert np.array_equal(opened.content(np.array([0]))[0] == 1, opened.images[0] == 200)
    assert opened.content(np.array([0])).mean() == (1 if fit == "squash" else 0.5)


@pytest.mark.parametrize("fit", ["squash", "pad"])
@pytest.mark.parametrize("size", [(48, 40), (192, 160), (95, 80), (33, 27)])
def test_masks_of_another_size_and_the_same_shape_are_welcome(tmp_path, fit, size):
    Image.fromarray(radiograph(0, 96, 80)).save(tmp_path / "image.png")
    Image.fromarray(lung_mask(*size)).save(tmp_path / "lung.png")
    opened = open_store(table_of([tmp_path / "image.png"], lung=str(tmp_path / "lung.png")), (64, 64), fit)
    Image.fromarray(lung_mask(96, 80)).save(tmp_path / "exact.png")
    exact = open_store(table_of([tmp_path / "image.png"], lung=str(tmp_path / "exact.png")), (64, 64), fit)
    assert (opened.lung == exact.lung).mean() > 0.96


@pytest.mark.parametrize("kind", ["lung", "opacity"])
def test_masks_of_another_shape_are_refused_by_name(tmp_path, kind):
    Image.fromarray(radiograph(0, 96, 80)).save(tmp_path / "image.png")
    Image.fromarray(lung_mask(80, 96)).save(tmp_path / "turned.png")
    table = table_of([tmp_path / "image.png"], **{kind: str(tmp_path / "turned.png")})
    with pytest.raises(DataError) as refused:
        open_store(table, SIZE)
    assert f"turned.png: the {kind} mask is 80 x 96 pixels and its image" in str(refused.value)
    assert "is 96 x 80; expected the same size or the same aspect ratio" in str(refused.value)


def test_all_bad_files_are_named_at_once_and_nothing_is_left(table, cache):
    spoil(table["path"][1])
    spoil(table["path"][5], b"")
    spoil(table["lung"][6])
    with pytest.raises(DataError) as refused:
        open_store(table, SIZE)
    words = str(refused.value)
    assert words.startswith("3 images cannot be used (on_error=skip leaves them out")
    for path in (table["path"][1], table["path"][5], table["lung"][6]):
        assert path in words
    assert stores(cache) == []


def test_a_long_list_of_bad_files_is_cut(tmp_path):
    paths = [tmp_path / f"{i:02d}.png" for i in range(13)]
    for path in paths:
        spoil(path)
    with pytest.raises(DataError, match="and 3 more"):
        open_store(table_of(paths), SIZE)


def test_skipped_files_are_counted_and_named_and_the_rest_keeps_its_rows(table):
    whole = open_store(table, SIZE)
    spoil(table["path"][1])
    Image.fromarray(np.array([[7]], dtype=np.uint8)).save(table["path"][4])
    opened = open_store(table, SIZE, on_error="skip")
    assert set(opened.skipped) == {table["image"][1], table["image"][4]}
    assert table["path"][1] in opened.skipped[table["image"][1]]
    assert "1 x 1 pixels are no image" in opened.skipped[table["image"][4]]
    assert opened.table["image"].tolist() == [name for name in table["image"] if name not in opened.skipped]
    assert len(opened) == len(opened.images) == len(opened.lung) == 6
    for row, name in enumerate(opened.table["image"]):
        before = whole.table.index[whole.table["image"] == name][0]
        assert np.array_equal(opened.images[row], whole.images[before])
        assert np.array_equal(opened.opacity[row], whole.opacity[before])


def test_a_store_that_skipped_files_is_refused_to_who_wants_all(table):
    spoil(table["path"][1])
    open_store(table, SIZE, on_error="skip")
    with pytest.raises(DataError, match="1 images cannot be used"):
        open_store(table, SIZE, on_error="raise")
    assert len(open_store(table, SIZE, on_error="skip")) == 7


def test_skipping_everything_is_refused(tmp_path, cache):
    spoil(tmp_path / "a.png")
    with pytest.raises(DataError, match="1 images cannot be used"):
        open_store(table_of([tmp_path / "a.png"]), SIZE, on_error="skip")
    assert stores(cache) == []


def test_an_unknown_on_error_is_refused(table):
    with pytest.raises(ConfigError, match="on_error='ignore' is not known; expected 'raise' or 'skip'"):
        open_store(table, SIZE, on_error="ignore")


def test_names_that_look_like_numbers_stay_names(tmp_path):
    for name in ("001", "1e5", "NA"):
        Image.fromarray(radiograph(0)).save(tmp_path / f"{name}.png")
    opened = open_store(table_of(sorted(tmp_path.glob("*.png"))), SIZE)
    assert opened.table["image"].tolist() == ["001", "1e5", "NA"]
    assert opened.table["path"].map(lambda path: Path(path).stem).tolist() == ["001", "1e5", "NA"]


def test_a_killed_build_leaves_no_store_and_the_next_one_succeeds(table, cache):
    results = FORK.Queue()
    process = FORK.Process(target=build_slowly, args=(table, results), daemon=True)
    process.start()
    assert results.get(timeout=60) == "reading"
    process.kill()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert list_stores() == []
    assert stores(cache) == [f"{store_key(table, SIZE, 'squash')}.partial"]  # it was killed in the middle
    assert len(open_store(table, SIZE)) == 8
    assert stores(cache) == [store_key(table, SIZE, "squash")]


def test_an_interrupted_build_leaves_nothing(table, cache, monkeypatch):
    read = building.read_fitted

    def interrupted(path, *how):
        if path == table["path"][3]:
            raise KeyboardInterrupt
        return read(path, *how)

    monkeypatch.setattr(building, "read_fitted", interrupted)
    with pytest.raises(KeyboardInterrupt):
        open_store(table, SIZE)
    assert stores(cache) == []


def test_two_runs_that_build_at_once_share_one_store(table, cache):
    results = FORK.Queue()
    processes = [FORK.Process(target=build_slowly, args=(table, results), daemon=True) for _ in range(2)]
    for process in processes:
        process.start()
    told = [results.get(timeout=60) for _ in range(len(table) + 2)]
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert told.count("reading") == len(table)  # the second one waited and read nothing
    opened = [one for one in told if one != "reading"]
    assert len(opened) == 2
    assert opened[0] == opened[1]
    assert stores(cache) == [store_key(table, SIZE, "squash")]


def keep_all(table, cache, told):
    """The body of a process with nothing of ours in it: tells each row that it writes, and waits for an answer."""
    write = array_file.ArrayFile.write

    def watched(self, row):
        write(self, row)
        told.send(Path(self._file.name).name)
        told.recv()

    array_file.ArrayFile.write = watched
    opened = open_store(table, SIZE, cache=cache)
    cached_array(opened, "fields", lambda: opened.images // 2)


def content(folder):
    """Files of a store and what is in them, locks aside."""
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.suffix != ".lock"}


def test_of_several_builders_any_may_be_killed_and_one_whole_store_remains(table, tmp_path):
    cache = tmp_path / "shared"
    builders, wrote = {}, {}
    for _ in range(3):
        pipe, theirs = SPAWN.Pipe()
        builders[pipe], wrote[pipe] = (
            SPAWN.Process(target=keep_all, args=(table, cache, theirs), daemon=True),
            Counter(),
        )
        builders[pipe].start()
        theirs.close()
    killed, pending = {}, set(builders)
    while pending:
        ready = wait(pending, timeout=300)
        assert ready, "the builders wait for each other"
        for pipe in ready:
            try:
                file = pipe.recv()
            except EOFError:  # it has ended
                pending.remove(pipe)
                continue
            wrote[pipe][file] += 1
            if file in ("lung.npy", "fields.partial") and file not in killed:  # within the store, and beside
                killed[file] = pipe
                builders[pipe].kill()
            else:
                pipe.send("go on")
    for builder in builders.values():
        builder.join(60)
    (lived,) = set(builders) - set(killed.values())
    assert builders[lived].exitcode == 0
    assert [builders[pipe].exitcode for pipe in killed.values()] == [-signal.SIGKILL] * 2
    alone = open_store(table, SIZE, cache=tmp_path / "alone")
    cached_array(alone, "fields", lambda: alone.images // 2)
    assert [entry.name for entry in cache.iterdir() if entry.suffix != ".lock"] == [alone.key]
    assert content(cache / alone.key) == content(alone.folder)
    assert wrote[killed["lung.npy"]] == {"images.npy": 1, "lung.npy": 1}
    others = wrote[lived] + wrote[killed["fields.partial"]]
    assert others["images.npy"] == len(table)  # one of them built, and the other took what it had built
    assert wrote[lived]["fields.partial"] == len(table)


def test_threads_that_build_at_once_share_one_store(table, cache):
    with ThreadPoolExecutor(4) as pool:
        opened = list(pool.map(lambda _: open_store(table, SIZE), range(4)))
    assert len({one.key for one in opened}) == 1
    assert all(np.array_equal(one.images, opened[0].images) for one in opened)
    assert len(stores(cache)) == 1


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fills_up_is_named_and_nothing_is_left(table, cache, monkeypatch, number):
    write = array_file.ArrayFile.write

    def full(self, row):
        if self._written == 3:
            raise OSError(number, os.strerror(number))
        write(self, row)

    monkeypatch.setattr(array_file.ArrayFile, "write", full)
    with pytest.raises(DataError, match=r"the disk of .*stores is full .*nothing was kept.*PNEUMO_AD_CACHE"):
        open_store(table, SIZE)
    assert stores(cache) == []
    monkeypatch.setattr(array_file.ArrayFile, "write", write)
    assert len(open_store(table, SIZE, cache=cache / "stores")) == 8


def test_too_small_a_disk_is_refused_before_anything_is_read(table, cache, monkeypatch):
    usage = shutil.disk_usage(cache)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    monkeypatch.setattr(building, "read_fitted", lambda *_: pytest.fail("was read"))
    with pytest.raises(DataError, match=r"the store needs 0 MiB and .* has 0 MiB free; clear stores with"):
        open_store(table, SIZE)
    assert stores(cache) == []


def test_a_really_full_disk(table, tmp_path, monkeypatch):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = (
        shutil.which("mount")
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], capture_output=True
        ).returncode
    )
    if not mounted:
        pytest.skip("mounting a small disk needs root")
    roomy = shutil.disk_usage(disk)._replace(free=2**30)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: roomy)  # as if another program filled it meanwhile
    try:
        with pytest.raises(DataError, match=r"disk of .* is full"):
            open_store(table, (128, 128), cache=disk)
        assert [entry for entry in disk.iterdir() if entry.suffix != ".lock"] == []
        small = open_store(table, SIZE, cache=disk)
        assert len(small) == 8
        with pytest.raises(DataError, match=r"disk of .* is full"):
            cached_array(small, "lungs", lambda: np.zeros((8, 256, 256), dtype=np.uint8))
        assert {entry.suffix for entry in small.folder.iterdir()} <= {".npy", ".json", ".csv", ".lock"}
        del small
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_store_that_is_cleared_while_its_lung_fields_are_computed_is_told(table):
    opened = open_store(table, SIZE)

    def cleared():
        yield from opened.images[:2]
        clear_store(opened.folder)
        yield from opened.images[2:]  # an open store can still be read

    with pytest.raises(DataError, match="the store was cleared while in use; the same command builds it again"):
        cached_array(opened, "fields", cleared)
    assert list_stores() == []
    again = open_store(table, SIZE)
    assert (cached_array(again, "fields", lambda: again.images // 2) == again.images // 2).all()


def test_cached_arrays_are_computed_once_and_whole(table):
    opened = open_store(table, SIZE)
    calls = []

    def compute():
        calls.append(1)
        return np.full((8, *SIZE), 1, dtype=np.uint8)

    for _ in range(2):
        assert cached_array(opened, "lungs-abc", compute).all()
    assert len(calls) == 1

    def dies():
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        cached_array(opened, "lungs-def", dies)
    assert not (opened.folder / "lungs-def.npy").exists()
    assert cached_array(opened, "lungs-def", compute).all()


def test_stores_are_listed_last_used_first_and_cleared(table, cache):
    assert list_stores() == []
    small, large = open_store(table, SIZE), open_store(table, (64, 64), "pad")
    old = time.time() - 1000
    os.utime(small.folder / "store.json", (old, old))
    listed = list_stores()
    assert [one.folder.name for one in listed] == [large.key, small.key]
    assert (listed[0].images, listed[0].image_size, listed[0].fit) == (8, (64, 64), "pad")
    assert listed[0].bytes >= 3 * 8 * 64 * 64
    assert listed[0].source == str(Path(table["path"][0]).parent)
    open_store(table, SIZE)  # to use one is to bring it to the top
    assert [one.folder.name for one in list_stores()] == [small.key, large.key]
    clear_store(small.folder)
    assert [one.folder.name for one in list_stores()] == [large.key]
    assert small.images[0].any()  # who has it open keeps reading
    assert len(open_store(table, SIZE)) == 8


def test_a_store_says_what_it_is(table):
    opened = open_store(table, SIZE, "pad")
    about = json.loads((opened.folder / "store.json").read_text())
    assert about["image_size"] == list(SIZE)
    assert about["fit"] == "pad"
    assert about["skipped"] == {}
    measured = pd.read_csv(opened.folder / "table.csv")
    assert {"height", "width", "window_low", "window_high", "fitted_height", "has_lung"} <= set(measured.columns)


def test_a_store_that_only_somebody_else_may_write_is_read(table, monkeypatch):
    """Such a store is not marked as used: the system refuses."""
    expected = np.array(open_store(table, SIZE).images)

    def refuse(*arguments, **options):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(store.os, "utime", refuse)
    assert np.array_equal(open_store(table, SIZE).images, expected)
