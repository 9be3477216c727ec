import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, f1_score

from pneumo_ad.errors import DataError
from pneumo_ad.labels import HEALTHY, MIXED, OPACITY, OUTSIDE, PADDING
from pneumo_ad.metrics.kinds import macro_f1
from pneumo_ad.metrics.oracle import best_balanced_accuracy, best_dice, best_macro_f1, dice_of_all
from pneumo_ad.metrics.thresholds import Thresholds


def dice(truth, called):
    return f1_score(truth, called, zero_division=0)


BINARY = [(best_dice, dice), (best_balanced_accuracy, balanced_accuracy_score)]


def cuts(scores):
    """Every way of cutting: below everything, and at each score."""
    return [scores.min() - 1, *np.unique(scores)]


@st.composite
def rankings(draw, classes=2):
    truth = np.array([*draw(st.lists(st.integers(0, classes - 1), min_size=1, max_size=20)), *range(classes)])
    levels = st.integers(-4, 4) if draw(st.booleans()) else st.floats(-1e3, 1e3, width=32)
    return np.array([draw(levels) for _ in truth], dtype=np.float32), truth


@given(rankings())
def test_no_threshold_is_better_and_the_one_given_does_it(ranking):
    scores, truth = ranking[0], ranking[1] == 1
    for oracle, metric in BINARY:
        found = oracle(scores, truth)
        assert found.value == pytest.approx(max(metric(truth, scores > cut) for cut in cuts(scores)))
        assert found.value == pytest.approx(metric(truth, scores > found.threshold))


@given(rankings())
def test_calling_all_positive_is_one_of_the_thresholds(ranking):
    scores, truth = ranking[0], ranking[1] == 1
    assert dice_of_all(truth) == pytest.approx(dice(truth, np.ones_like(truth)))
    assert best_dice(scores, truth).value >= dice_of_all(truth) - 1e-12
    assert best_dice(np.zeros(len(truth)), truth).value == pytest.approx(dice_of_all(truth))


@given(rankings(classes=3))
def test_no_pair_of_thresholds_is_better_and_the_pair_given_does_it(ranking):
    scores, kinds = ranking
    found = best_macro_f1(scores, kinds)
    tried = [
        macro_f1(kinds, Thresholds(low, high).classify(scores))
        for low in cuts(scores)
        for high in cuts(scores)
        if low <= high
    ]
    assert found.value == pytest.approx(max(tried))
    assert found.value == pytest.approx(macro_f1(kinds, Thresholds(found.low, found.high).classify(scores)))


def planted(n=3000, seed=0):
    """Gaussians a standard deviation and a half apart, few opacities."""
    rng = np.random.default_rng(seed)
    kinds = rng.choice([HEALTHY, OPACITY, OUTSIDE], n, p=[0.5, 0.05, 0.45])
    return rng.normal(1.5 * kinds, 1), kinds


def test_many_scores_are_cut_as_well_as_few():
    scores, kinds = planted()
    found = best_macro_f1(scores, kinds)
    assert found.value == pytest.approx(macro_f1(kinds, Thresholds(found.low, found.high).classify(scores)))
    grid = np.quantile(scores, np.linspace(0, 1, 25))
    tried = max(macro_f1(kinds, Thresholds(a, b).classify(scores)) for i, a in enumerate(grid) for b in grid[i:])
    assert tried - 0.002 <= found.value < tried + 0.05


def test_patches_that_are_none_of_the_three_are_left_out():
    scores, kinds = planted(300)
    more = np.append(scores, [50.0, -50.0]), np.append(kinds, [MIXED, PADDING])
    assert best_macro_f1(*more) == best_macro_f1(scores, kinds)


def test_a_perfect_score_gives_1_and_a_constant_one_what_calling_all_alike_gives():
    kinds = np.repeat([HEALTHY, OPACITY, OUTSIDE], [50, 20, 30])
    assert best_macro_f1(kinds.astype(float), kinds).value == 1
    truth = kinds == OPACITY
    assert best_dice(truth.astype(float), truth).value == 1
    assert best_balanced_accuracy(truth.astype(float), truth).value == 1
    assert best_dice(np.zeros(100), truth).value == pytest.approx(2 * 0.2 / 1.2)
    assert best_balanced_accuracy(np.zeros(100), truth).value == 0.5
    assert best_balanced_accuracy(-truth.astype(float), truth).value == 0.5
    assert best_macro_f1(np.zeros(100), kinds).value == pytest.approx(2 * 50 / 150 / 3)


@pytest.mark.parametrize("transform", [lambda s: 3 * s + 7, np.exp, lambda s: s**3])
def test_a_monotone_transform_changes_no_value(transform):
    scores, kinds = planted()
    for oracle in (best_dice, best_balanced_accuracy):
        truth = kinds == OUTSIDE
        assert oracle(transform(scores), truth).value == oracle(scores, truth).value
    assert best_macro_f1(transform(scores), kinds).value == best_macro_f1(scores, kinds).value


@pytest.mark.parametrize("oracle", [best_dice, best_balanced_accuracy])
def test_nothing_to_find_is_refused(oracle):
    with pytest.raises(DataError, match="none of 5 samples is positive"):
        oracle(np.arange(5.0), np.zeros(5, bool))


def test_one_class_alone_has_no_balanced_accuracy():
    with pytest.raises(DataError, match="all 5 samples are positive"):
        best_balanced_accuracy(np.arange(5.0), np.ones(5, bool))


@pytest.mark.parametrize(("gone", "name"), [(HEALTHY, "healthy"), (OPACITY, "opacity"), (OUTSIDE, "outside")])
def test_a_kind_without_a_patch_is_named(gone, name):
    scores, kinds = planted(300)
    with pytest.raises(DataError, match=f"no {name} patch"):
        best_macro_f1(scores[kinds != gone], kinds[kinds != gone])
