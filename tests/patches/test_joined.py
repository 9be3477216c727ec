"""Read as one: whatever one array gives."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pneumo_ad.patches import gather
from pneumo_ad.patches.joined import Joined, join, parts_of

WHOLE = np.random.default_rng(0).integers(0, 256, (11, 9, 7), dtype=np.uint8)
PARTS = np.split(WHOLE, [3, 3, 4, 9])  # one of them is empty
JOINED = Joined(PARTS)
SOME = np.array([10, 0, 3, 3, -1, 8, 9])
MASK = np.arange(11) % 3 == 1


@pytest.mark.parametrize(
    "key",
    [
        0, 5, -1, np.int64(10), (4, 2), (4, slice(1, 3), 2), (-2, 3, slice(None)),
        slice(None), slice(0, 3), slice(1, 3), slice(2, 10), slice(9, 2, -2), slice(5, 5), slice(-4, None),
        slice(20, 30),
        SOME, SOME.tolist(), SOME.reshape(7, 1), np.zeros(0, dtype=np.int64), [], MASK, np.zeros(11, dtype=bool),
        (SOME, slice(2, 4)), (SOME, 3), (SOME, 3, slice(1, None)), (SOME, slice(None), 3), (MASK, slice(0, 2), 1),
        (slice(2, 10), slice(1, 5), 3), (slice(4, 9), slice(1, 5)), (slice(5, 5), 2),
        (SOME, np.arange(7) % 5), (SOME, np.arange(7) % 5, np.arange(7)), (SOME, slice(None), np.arange(7)),
        (SOME[:, None, None], np.arange(4)[None, :, None], np.arange(5)[None, None, :]),
        (np.zeros(0, dtype=np.int64), slice(2, 5)),
    ],
    ids=str,
)  # fmt: skip
def test_it_gives_what_one_array_gives(key):
    expected, found = WHOLE[key], JOINED[key]
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    assert np.array_equal(found, expected)


@pytest.mark.parametrize(
    "key",
    [11, -12, np.array([0, 11]), np.array([-12]), MASK[:10], 1.5, np.array([0.5]), None, ..., (slice(0, 5), SOME)],
    ids=str,
)
def test_what_an_array_refuses_it_refuses(key):
    with pytest.raises((IndexError, TypeError)):
        JOINED[key]


def test_it_has_the_measures_of_an_array():
    for name in ("shape", "dtype", "ndim", "nbytes", "size"):
        assert getattr(JOINED, name) == getattr(WHOLE, name)
    assert len(JOINED) == 11
    assert np.array_equal(np.asarray(JOINED), WHOLE)
    assert np.asarray(JOINED, dtype=np.float32).dtype == np.float32
    assert np.array_equal(np.stack(list(JOINED)), WHOLE)


def test_a_slice_within_one_part_copies_nothing():
    assert np.shares_memory(JOINED[4:9], PARTS[3])
    assert np.shares_memory(JOINED[5], PARTS[3])


def test_one_part_is_left_as_it_is():
    assert join([WHOLE]) is WHOLE
    assert parts_of(WHOLE) == (WHOLE,)
    assert all(a is b for a, b in zip(parts_of(join(PARTS)), PARTS, strict=True))


@given(
    where=st.lists(st.tuples(st.integers(0, 10), st.integers(0, 5), st.integers(0, 3)), max_size=30),
    halo=st.sampled_from([0, 1, 3]),
)
def test_patches_are_those_of_one_array(where, halo):
    where = np.array(where, dtype=np.int64).reshape(-1, 3)
    assert np.array_equal(gather(JOINED, where, 4, halo), gather(WHOLE, where, 4, halo))


def test_cutting_patches_never_makes_one_array_of_the_parts(monkeypatch):
    monkeypatch.setattr(Joined, "__array__", lambda *_, **__: pytest.fail("all parts were copied"))
    assert gather(JOINED, np.array([[0, 0, 0], [10, 5, 3]]), 4, halo=1).shape == (2, 1, 6, 6)
    with pytest.raises(pytest.fail.Exception):
        np.asarray(JOINED)


def test_parts_of_different_shapes_are_not_joined():
    with pytest.raises(AssertionError):
        Joined([WHOLE, WHOLE[:, :3]])
