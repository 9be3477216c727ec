import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pneumo_ad.data.orders import HELD, FeistelOrder, random_order

keys = st.tuples(st.integers(0, 2**40), st.integers(0, 10**4))


@given(st.integers(2, 5000), keys)
def test_every_number_comes_once(length, key):
    order = FeistelOrder(length, key)
    found = order(np.arange(length))
    assert found.dtype == np.int64
    assert np.array_equal(np.sort(found), np.arange(length))


@pytest.mark.parametrize("length", [2**16 - 1, 2**16, 2**16 + 1, 300_007])
def test_every_number_comes_once_on_either_side_of_a_power_of_two(length):
    assert np.array_equal(np.sort(FeistelOrder(length, (1, 2))(np.arange(length))), np.arange(length))


@given(st.integers(2, 10**10), keys, st.integers(0, 2**32 - 1))
def test_what_comes_at_a_place_does_not_depend_on_what_else_is_asked(length, key, seed):
    places = np.random.default_rng(seed).integers(0, length, 50)
    order = FeistelOrder(length, key)
    whole = order(places)
    assert 0 <= whole.min() <= whole.max() < length
    assert np.array_equal(whole[::3], FeistelOrder(length, key)(places[::3]))


def test_another_key_is_another_order():
    orders = [FeistelOrder(10**6, key)(np.arange(1000)) for key in ((0, 0), (0, 1), (1, 0))]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert (orders[one] == orders[other]).mean() < 0.01


@pytest.mark.parametrize("length", [3 * 2**18, 10**6 + 3, 2**20 + 1])
@pytest.mark.parametrize("key", [(0, 0), (0, 1), (7, 3)])
def test_an_order_is_as_even_as_a_permutation(length, key):
    """Statistics that a random permutation keeps within four to five standard deviations."""
    order = FeistelOrder(length, key)(np.arange(length)).astype(float)
    # Of equal stretches of the order, equally many numbers come from each of equal ranges: chi-square.
    cells = 24
    place = np.arange(length) * cells // length
    table = np.histogram2d(place, order * cells // length, bins=cells)[0]
    freedom = (cells - 1) ** 2
    chi = ((table - length / cells**2) ** 2 / (length / cells**2)).sum()
    assert abs(chi - freedom) < 5 * np.sqrt(2 * freedom)
    # Neither neighbours nor those one batch apart know of one another, and no place of its own number.
    for lag in (1, 2, 64, 512):
        assert abs(np.corrcoef(order[:-lag], order[lag:])[0, 1]) < 5 / np.sqrt(length)
    assert abs(np.corrcoef(np.arange(length), order)[0, 1]) < 5 / np.sqrt(length)
    # Neighbours of the order are rarely neighbours of the line: about 2 of all pairs, whatever the length.
    assert (np.abs(np.diff(order)) == 1).sum() < 15
    # Odd and even, as the lowest bit is the one that a poor mixer forgets.
    assert abs((order % 2).reshape(-1)[: length // 2].mean() - 0.5) < 5 / np.sqrt(2 * length)


def test_the_evenness_test_tells_an_uneven_order():
    length = 10**6 + 3
    shifted = (np.arange(length) * 7 + 5) % length
    assert abs(np.corrcoef(shifted[:-1], shifted[1:])[0, 1]) > 5 / np.sqrt(length)


def test_five_billion_windows_are_shuffled_without_being_held():
    length = 377_110 * 121**2
    tracemalloc.start()
    order = random_order(length, (0, 0))
    found = np.concatenate([order(np.arange(first, first + 2**16)) for first in (0, length - 2**16)])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(np.unique(found)) == 2**17
    assert found.max() > 0.99 * length
    assert peak < 16 * 2**20  # a permutation would take 44 GB


def test_orders_that_can_be_held_are_numpys_permutation():
    """Seeds give the weights that they always gave."""
    expected = np.random.default_rng([3, 5]).permutation(1000)
    assert np.array_equal(random_order(1000, (3, 5))(np.arange(1000)), expected)
    assert isinstance(random_order(HELD + 1, (3, 5)), FeistelOrder)
    assert not isinstance(random_order(2000, (3, 5)), FeistelOrder)
