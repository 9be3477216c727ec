"""Files are whole or not there, whoever else writes them."""

import errno
import os
from pathlib import Path

import pytest

from pneumo_ad.errors import system_words
from pneumo_ad.files import atomic_write, delete_partial, write_text


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
