"""Progress where no bar can be drawn: a line a minute, and none of what is done sooner."""

import logging

import pytest

from pneumo_ad import errors
from pneumo_ad.data import progress
from pneumo_ad.data.progress import ProgressLines, progress_bar


@pytest.fixture
def clock(monkeypatch):
    """A clock that each item moves by 20 seconds."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def lines(caplog, clock, rows, seconds=20.0, **options):
    with caplog.at_level(logging.INFO):
        for _ in progress_bar(rows, desc="store", unit="image", **options):
            clock[0] += seconds
    return [record.getMessage() for record in caplog.records]


def test_a_line_a_minute_says_how_many_are_done_and_how_long_the_rest_takes(caplog, clock):
    told = lines(caplog, clock, range(12))
    assert told == [
        "store: 3 of 12 images, about 3 min left",
        "store: 6 of 12 images, about 2 min left",
        "store: 9 of 12 images, about 1 min left",
    ]


def test_what_takes_less_than_a_minute_is_told_of_no_line(caplog, clock):
    assert lines(caplog, clock, range(12), seconds=1.0) == []


def test_a_loop_of_unknown_length_is_counted(caplog, clock):
    assert lines(caplog, clock, iter(range(4))) == ["store: 3 images"]


def test_a_bar_that_is_updated_by_hand_is_counted_alike(caplog, clock):
    with caplog.at_level(logging.INFO), progress_bar(total=2000, desc="predict", unit="file") as bar:
        for _ in range(2):
            clock[0] += 60
            bar.update(1000)
    assert [record.getMessage() for record in caplog.records] == ["predict: 1,000 of 2,000 files, about 1 min left"]


def test_quiet_and_hidden_loops_say_nothing(caplog, clock, monkeypatch):
    assert lines(caplog, clock, range(12), shown=False) == []
    monkeypatch.setattr(progress, "is_quiet", lambda: True)
    assert lines(caplog, clock, range(12)) == []


def test_every_item_is_passed_on_once():
    assert list(ProgressLines(range(5), desc="store")) == [0, 1, 2, 3, 4]
    assert list(progress_bar([1, 2])) == [1, 2]
    assert not errors.is_quiet()
