"""Counts along a precision-recall curve, against torchmetrics and against definitions."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics.functional.classification import binary_precision_recall_curve

from pneumo_ad.metrics.kinds import confusion
from pneumo_ad.metrics.precision_recall import counts_at_quantiles

SAMPLES = st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=2, max_size=60)


@given(SAMPLES)
def test_the_curve_is_that_of_torchmetrics_at_the_same_thresholds(samples):
    scores, truth = np.array([s / 9 for s, _ in samples]), np.array([t for _, t in samples])
    if not truth.any():
        return
    tp, fp, _, fn = counts_at_quantiles(scores, truth, points=11)
    thresholds = np.quantile(scores, np.linspace(0, 1, 11), method="lower")
    precision, recall, _ = binary_precision_recall_curve(
        torch.from_numpy(scores),
        torch.from_numpy(truth.astype(int)),
        thresholds=torch.from_numpy(np.unique(thresholds)),
    )
    where = np.searchsorted(np.unique(thresholds), thresholds)
    np.testing.assert_allclose(tp / (tp + fp), precision[:-1].numpy()[where], rtol=1e-6)
    np.testing.assert_allclose(tp / (tp + fn), recall[:-1].numpy()[where], rtol=1e-6)


@given(SAMPLES)
def test_each_threshold_splits_all_samples(samples):
    scores, truth = np.array([s for s, _ in samples]), np.array([t for _, t in samples])
    tp, fp, tn, fn = counts_at_quantiles(scores, truth, points=7)
    assert (tp + fn == truth.sum()).all()
    assert (fp + tn == (~truth).sum()).all()
    assert tp[0] + fp[0] == len(samples)  # the lowest calls all
    assert (np.diff(tp) <= 0).all()
    assert (np.diff(fp) <= 0).all()
    np.testing.assert_array_equal(counts_at_quantiles(2.0**scores, truth, points=7), [tp, fp, tn, fn])  # ranks alone


@pytest.mark.parametrize("kinds", [3, 6])
def test_confusions_are_counted_pair_by_pair(kinds):
    rng = np.random.default_rng(0)
    true, predicted = rng.integers(0, kinds, 400), rng.integers(0, 3, 400)
    expected = [[sum((true == t) & (predicted == p)) for p in range(3)] for t in range(3)]
    np.testing.assert_array_equal(confusion(true, predicted), expected)


def test_without_a_known_kind_nothing_is_counted():
    assert not confusion(np.array([3, 4, 5]), np.array([0, 1, 2])).any()
