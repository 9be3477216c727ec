"""Files are whole or not there, whoever else writes them."""

import errno
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from pneumo_ad.errors import system_words
from pneumo_ad.files import (
    atomic_folder,
    atomic_write,
    delete_partial,
    folder_for_results,
    try_to_write,
    write_text,
)


def test_of_two_writers_the_last_whole_file_stays(tmp_path):
    """The second begins while the first writes: neither fails, neither publishes the other's half."""
    file = tmp_path / "a.txt"
    with atomic_write(file) as first:
        first.write_text("all of the first")
        with atomic_write(file) as second:
            second.write_text("all of the second")
        assert file.read_text() == "all of the second"
    assert file.read_text() == "all of the first"
    assert [one.name for one in tmp_path.iterdir()] == ["a.txt"]


def test_a_failure_leaves_nothing_and_what_was_there_stays(tmp_path):
    file = tmp_path / "a.txt"
    write_text(file, "before")

    def fill_the_disk():
        with atomic_write(file) as aside:
            aside.write_text("half")
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        fill_the_disk()
    assert file.read_text() == "before"
    assert [one.name for one in tmp_path.iterdir()] == ["a.txt"]


def test_what_a_killed_writer_left_is_deleted_by_a_later_one(tmp_path):
    old, young, foreign = (tmp_path / f"a.json.{name}.partial" for name in ("0123abcd", "4567cdef", "mine"))
    for file in (old, young, foreign):
        file.touch()
    os.utime(old, (0, 0))
    write_text(tmp_path / "a.json", "{}")
    assert {file.name for file in tmp_path.iterdir()} == {"a.json", young.name, foreign.name}
    delete_partial(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {"a.json", foreign.name}


def test_a_full_disk_is_told_with_the_file_and_leaves_the_one_before(tmp_path, monkeypatch):
    file = tmp_path / "a.txt"
    write_text(file, "before")

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space") as raised:
        write_text(file, "after")
    monkeypatch.undo()
    assert system_words(raised.value).startswith(f"{file}: the disk is full")
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("a.txt", "before")]


def test_many_may_try_a_folder_at_once(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: [try_to_write(tmp_path) for _ in range(50)], range(8)))
    assert not list(tmp_path.iterdir())


def make(folder, text, wait=-1.0):
    with atomic_folder(folder, wait) as aside:
        (aside / "a.txt").write_text(text)
        assert not folder.exists() or (folder / "a.txt").read_text() != text


def listed(folder):
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*"))


def test_a_folder_is_whole_or_as_it_was(tmp_path):
    folder = tmp_path / "below" / "made"
    make(folder, "first")
    make(folder, "second")
    assert (folder / "a.txt").read_text() == "second"
    with pytest.raises(UnicodeEncodeError):
        make(folder, "\ud800")
    with atomic_folder(folder) as aside:
        aside.rmdir()  # nothing is to be replaced
    assert (folder / "a.txt").read_text() == "second"
    assert listed(tmp_path) == ["below", "below/made", "below/made/a.txt"]


@pytest.mark.parametrize("between", [False, True])
def test_what_a_killed_process_left_of_a_folder_is_deleted_and_what_it_had_moved_is_back(between, tmp_path):
    folder, work = tmp_path / "made", tmp_path / ".made.partial"
    make(folder, "before")
    (work / "new").mkdir(parents=True)
    (work / "new" / "half").touch()
    if between:  # the two renames
        folder.rename(work / "before")
    with pytest.raises(ZeroDivisionError), atomic_folder(folder) as aside:
        1 / len(list(aside.iterdir()))
    assert listed(tmp_path) == ["made", "made/a.txt"]
    assert (folder / "a.txt").read_text() == "before"


def test_one_at_a_time_makes_a_folder(tmp_path):
    folder = tmp_path / "made"
    with atomic_folder(folder) as aside:
        with pytest.raises(Timeout):
            make(folder, "second", wait=0)
        (aside / "a.txt").write_text("first")
    assert (folder / "a.txt").read_text() == "first"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: make(folder, f"{number}"), range(40)))
    assert listed(tmp_path) == ["made", "made/a.txt"]


def test_a_folder_of_results_stays_while_another_process_is_at_it(tmp_path):
    folder, other = tmp_path / "results", FileLock(tmp_path / "results" / ".lock")

    def fail():
        with folder_for_results(folder):
            other.acquire()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert folder.exists()
    other.release()
    shutil.rmtree(folder)
    with pytest.raises(ZeroDivisionError), folder_for_results(folder):
        raise ZeroDivisionError
    assert not folder.exists()
