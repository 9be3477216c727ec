from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score, f1_score

from pneumo_ad.clustering.agreement import adjusted_rand, agreement, best_match, best_match_macro_f1
from pneumo_ad.labels import MIXED, PADDING, UNKNOWN
from pneumo_ad.metrics import macro_f1

ORDERS = list(permutations(range(3)))


def windows(seed, n=200, noise=0.4):
    """True kinds, six of them, and clusters that go with the first three to some extent."""
    rng = np.random.default_rng(seed)
    true = rng.choice(6, n, p=[0.4, 0.1, 0.3, 0.1, 0.05, 0.05])
    found = np.where(rng.random(n) < noise, rng.integers(0, 3, n), (true + 1) % 3)
    return true.astype(np.int8), found.astype(np.int8)


@pytest.mark.parametrize("seed", range(5))
def test_both_equal_scikit_learn_on_the_known_windows(seed):
    true, found = windows(seed)
    known = true < 3
    assert adjusted_rand(true, found) == pytest.approx(adjusted_rand_score(true[known], found[known]))
    by_order = [f1_score(true[known], np.array(order)[found[known]], average="macro") for order in ORDERS]
    assert best_match_macro_f1(true, found) == pytest.approx(max(by_order))
    assert best_match(true, found) == ORDERS[int(np.argmax(by_order))]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2)), min_size=1, max_size=30))
def test_no_permutation_is_better_than_the_match(pairs):
    true, found = (np.array(side, dtype=np.int8) for side in zip(*pairs, strict=True))
    matched = macro_f1(true, np.array(best_match(true, found))[found]) if (true < 3).any() else 0
    assert best_match_macro_f1(true, found) == pytest.approx(matched)
    for order in ORDERS if (true < 3).any() else []:
        assert macro_f1(true, np.array(order)[found]) <= matched + 1e-12


@pytest.mark.parametrize("order", ORDERS)
def test_names_of_clusters_do_not_matter(order):
    true, found = windows(0)
    renamed = np.array(order, dtype=np.int8)[found]
    assert adjusted_rand(true, renamed) == pytest.approx(adjusted_rand(true, found))
    assert best_match_macro_f1(true, renamed) == pytest.approx(best_match_macro_f1(true, found))
    assert [best_match(true, renamed)[order[cluster]] for cluster in range(3)] == list(best_match(true, found))


def test_perfect_clusters_score_1_and_random_ones_nothing():
    true = np.repeat(np.arange(3, dtype=np.int8), 2000)
    perfect = np.array([2, 0, 1], dtype=np.int8)[true]
    assert best_match(true, perfect) == (1, 2, 0)
    assert (adjusted_rand(true, perfect), best_match_macro_f1(true, perfect)) == (1, 1)
    random = np.random.default_rng(0).integers(0, 3, len(true))
    assert abs(adjusted_rand(true, random)) < 0.01
    assert best_match_macro_f1(true, random) == pytest.approx(1 / 3, abs=0.03)
    one = np.zeros_like(true)
    assert adjusted_rand(true, one) == 0
    assert best_match_macro_f1(true, one) == pytest.approx(0.5 / 3)


def test_windows_of_no_kind_do_not_count():
    true, found = windows(1)
    known = true < 3
    for kind in (MIXED, PADDING, UNKNOWN):
        more_true = np.concatenate([true[known], np.full(50, kind, dtype=np.int8)])
        more_found = np.concatenate([found[known], np.zeros(50, dtype=np.int8)])
        assert adjusted_rand(more_true, more_found) == adjusted_rand(true[known], found[known])
        assert best_match_macro_f1(more_true, more_found) == best_match_macro_f1(true[known], found[known])


def test_intervals_equal_a_bootstrap_written_out():
    true, found = windows(2, n=120)
    patients = np.random.default_rng(3).integers(0, 12, 120)
    measured = agreement(true, found, patients, resamples=200, seed=5)
    known = true < 3
    names = np.unique(patients[known])
    drawn = np.random.default_rng(5).multinomial(len(names), np.full(len(names), 1 / len(names)), size=200)
    values = []
    for times in drawn:
        numbers = np.concatenate([np.repeat(np.flatnonzero(known & (patients == name)), n)
                                  for name, n in zip(names, times, strict=True)])  # fmt: skip
        values.append(
            (adjusted_rand(true[numbers], found[numbers]), best_match_macro_f1(true[numbers], found[numbers]))
        )
    for interval, column in zip(measured, np.array(values).T, strict=True):
        assert interval[1:] == pytest.approx(np.quantile(column, [0.025, 0.975]))
    assert measured.adjusted_rand.value == adjusted_rand(true, found)
    assert measured.best_match_macro_f1.value == best_match_macro_f1(true, found)


def test_intervals_are_those_of_patients_not_of_windows():
    true, found = windows(4, n=60)
    patients = np.arange(60)
    alone = agreement(true, found, patients)
    copied = agreement(np.tile(true, 10), np.tile(found, 10), np.tile(patients, 10))
    for one, many in zip(alone, copied, strict=True):
        assert many.high - many.low == pytest.approx(one.high - one.low, rel=0.15)
