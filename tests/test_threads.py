"""As many threads as cores that are this process's own, never more than memory allows."""

import os

import pytest

from pneumo_ad import files as threads


@pytest.mark.parametrize(("cores", "of_us", "expected"), [(128, 4, 4), (128, 128, 8), (2, 1, 1)])
def test_a_few_cores_of_a_large_node_start_few_threads(monkeypatch, cores, of_us, expected):
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(of_us)), raising=False)
    assert threads.reading_threads() == expected


def test_where_the_system_does_not_tell_all_cores_count(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    for cores, expected in ((128, 8), (3, 3), (None, 1)):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        assert threads.reading_threads() == expected
