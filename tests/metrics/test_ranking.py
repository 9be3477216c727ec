import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from pneumo_ad.errors import DataError
from pneumo_ad.metrics import auroc, auroc_with_interval, average_precision
from pneumo_ad.metrics.ranking import draw_patients


def auroc_by_pairs(scores, truth):
    """Every positive against every negative, ties counted half."""
    pairs = [(p > n) + (p == n) / 2 for p in scores[truth] for n in scores[~truth]]
    return np.mean(pairs)


def average_precision_by_hand(scores, truth):
    """Precision at each threshold, weighted by the recall gained there."""
    total, before = 0.0, 0
    for threshold in sorted(set(scores), reverse=True):
        found = truth[scores >= threshold]
        total += (found.sum() - before) / truth.sum() * found.mean()
        before = found.sum()
    return total


@st.composite
def rankings(draw):
    truth = np.array([*draw(st.lists(st.booleans(), min_size=2, max_size=30)), True, False])
    levels = st.integers(-3, 3) if draw(st.booleans()) else st.floats(-1e3, 1e3, width=32)
    scores = np.array([draw(levels) for _ in truth], dtype=np.float32)
    return scores, truth


def clustered(seed, patients=40, patches=25, shift=0.5):
    """Scores that share most of their spread within a patient."""
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(patients), patches)
    truth = owner < patients / 2
    return rng.normal(0, 1, patients)[owner] + rng.normal(0, 0.2, len(owner)) + shift * truth, truth, owner


@given(rankings())
def test_auroc_equals_counting_pairs(ranking):
    assert auroc(*ranking) == pytest.approx(auroc_by_pairs(*ranking), abs=1e-12)


@given(rankings())
def test_average_precision_equals_its_definition(ranking):
    assert average_precision(*ranking) == pytest.approx(average_precision_by_hand(*ranking), abs=1e-9)


@given(rankings())
def test_both_equal_those_of_scikit_learn(ranking):
    scores, truth = ranking
    assert auroc(*ranking) == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
    assert average_precision(*ranking) == pytest.approx(average_precision_score(truth, scores), abs=1e-12)


@pytest.mark.parametrize("measured", [auroc, average_precision])
def test_one_class_and_nan_are_refused(measured):
    with pytest.raises(DataError, match="3 of 3 samples are positive"):
        measured(np.arange(3.0), np.ones(3, dtype=bool))
    with pytest.raises(DataError, match="NaN"):
        measured(np.array([1.0, np.nan, 2.0]), np.array([True, False, True]))


@given(st.lists(st.integers(-2, 30), min_size=1, max_size=40))
def test_patients_are_numbered_in_their_order_whatever_they_are_called(called):
    expected = np.unique(called, return_inverse=True)[1]
    for patients in (np.array(called), np.array(called, dtype=np.int32), np.array(called) + 10**12):
        owner, weights = draw_patients(patients, resamples=3)
        assert np.array_equal(owner, expected)
        assert weights.shape == (3, len(set(called)))


def test_resamples_of_many_samples_are_counted_part_by_part(monkeypatch):
    scores, truth, patients = clustered(0)
    whole = auroc_with_interval(scores, truth, patients, resamples=50)
    monkeypatch.setattr("pneumo_ad.metrics.ranking._AT_ONCE", 17)
    assert auroc_with_interval(scores, truth, patients, resamples=50) == whole


@given(rankings())
def test_the_value_of_an_interval_is_exact_and_turning_the_score_turns_it(ranking):
    scores, truth = ranking
    patients = np.arange(len(scores))
    interval = auroc_with_interval(scores, truth, patients, resamples=50)
    assert interval.value == pytest.approx(auroc_by_pairs(scores, truth), abs=1e-12)
    turned = auroc_with_interval(-scores, truth, patients, resamples=50)
    assert turned.value == pytest.approx(1 - interval.value, abs=1e-9)
    assert (turned.low, turned.high) == pytest.approx((1 - interval.high, 1 - interval.low), abs=1e-6)
    assert 0 <= interval.low <= interval.high <= 1


@pytest.mark.parametrize("transform", [lambda s: 3 * s + 7, np.exp, lambda s: s**3])
def test_a_monotone_transform_changes_nothing(transform):
    scores, truth, owner = clustered(0)
    plain, changed = (auroc_with_interval(s, truth, owner, resamples=100) for s in (scores, transform(scores)))
    assert plain == pytest.approx(changed, abs=1e-4)


def test_the_interval_is_that_of_a_plain_bootstrap():
    scores, truth, owner = clustered(1, patients=30, patches=5)
    rng, values = np.random.default_rng(0), []
    for _ in range(600):
        drawn = np.concatenate([np.flatnonzero(owner == patient) for patient in rng.integers(0, 30, 30)])
        if 0 < truth[drawn].sum() < len(drawn):
            values.append(auroc(scores[drawn], truth[drawn]))
    interval = auroc_with_interval(scores, truth, owner)
    assert (interval.low, interval.high) == pytest.approx(np.quantile(values, [0.025, 0.975]), abs=0.03)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    # Normal scores one standard deviation apart: AUROC = Phi(1 / sqrt 2).
    expected, covered = 0.7602, 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        truth = np.arange(120) < 60
        interval = auroc_with_interval(rng.normal(0, 1, 120) + truth, truth, np.arange(120), resamples=200)
        covered += interval.low <= expected <= interval.high
    assert 88 <= covered <= 100


def test_patches_of_one_patient_are_not_independent():
    scores, truth, owner = clustered(0)
    by_patient = auroc_with_interval(scores, truth, owner)
    by_patch = auroc_with_interval(scores, truth, np.arange(len(scores)))
    assert by_patient.value == by_patch.value
    assert by_patient.high - by_patient.low > 2.5 * (by_patch.high - by_patch.low)


def test_the_interval_repeats_and_does_not_depend_on_names_or_global_state():
    scores, truth, owner = clustered(0)
    first = auroc_with_interval(scores, truth, owner)
    np.random.seed(1)
    assert auroc_with_interval(scores, truth, owner) == first
    assert auroc_with_interval(scores, truth, np.char.add("p", np.char.zfill(owner.astype(str), 3))) == first
    assert auroc_with_interval(scores, truth, owner, seed=1) != first


def test_more_samples_than_bins_keep_the_interval_right():
    rng = np.random.default_rng(0)
    truth = rng.random(50_000) < 0.3
    scores = rng.normal(0, 1, len(truth)) + truth
    owner = rng.integers(0, 200, len(truth))
    interval = auroc_with_interval(scores, truth, owner, resamples=200)
    assert interval.low < interval.value < interval.high
    assert interval.high - interval.low < 0.03
    assert abs((interval.low + interval.high) / 2 - interval.value) < 0.005


def test_any_array_of_scores_and_any_truth_of_two_values_is_ranked():
    scores, truth = np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True])
    expected = roc_auc_score(truth, scores)
    for as_given in (list, torch.tensor, pd.Series):
        assert auroc(as_given(scores), as_given(truth)) == expected
        assert auroc(as_given(scores), as_given(truth.astype(int))) == expected  # 0 and 1 are no rows of the scores
    assert average_precision(scores, truth.astype(float)) == average_precision(scores, truth)
    with pytest.raises(DataError, match=r"truth must be bool, or 0 and 1; got int64, for example 2"):
        auroc(scores, [2, 1, 1, 2])
    with pytest.raises(DataError, match=r"scores \(4,\) and truth \(3,\) must be of the same samples"):
        auroc(scores, truth[:3])
