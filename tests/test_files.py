"""Files are whole or not there, whoever else writes them."""

import pytest

from pneumo_ad.files import atomic_write, write_text


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
