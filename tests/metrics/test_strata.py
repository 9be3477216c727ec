import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from pneumo_ad.metrics.strata import STRATA, aurocs_in_strata


@pytest.fixture
def drawn():
    """(n,) scores that see the disease a little, truth, and a nuisance that tells the classes apart."""
    rng = np.random.default_rng(0)
    truth = rng.random(1000) < 0.5
    return rng.normal(size=1000) + 0.5 * truth, truth, rng.normal(size=1000) + 1.5 * truth


def test_each_is_that_of_scikit_learn_among_equally_many_of_like_nuisance(drawn):
    scores, truth, nuisance = drawn
    table = pd.DataFrame({"score": scores, "truth": truth, "in": pd.qcut(nuisance, STRATA, labels=False)})
    expected = [roc_auc_score(part["truth"], part["score"]) for _, part in table.groupby("in")]
    assert aurocs_in_strata(scores, truth, nuisance) == pytest.approx(expected)


def test_what_the_nuisance_tells_is_hidden_and_what_the_score_tells_is_not(drawn):
    scores, truth, nuisance = drawn
    assert roc_auc_score(truth, nuisance) > 0.8
    assert np.median(aurocs_in_strata(nuisance, truth, nuisance)) < roc_auc_score(truth, nuisance) - 0.1
    assert np.median(aurocs_in_strata(scores, truth, nuisance)) == pytest.approx(roc_auc_score(truth, scores), abs=0.06)


def test_strata_without_both_classes_are_left_out(drawn):
    scores, truth, nuisance = drawn
    apart = nuisance + 100 * truth
    assert len(aurocs_in_strata(scores, truth, apart)) <= 1
    assert not aurocs_in_strata(scores, np.ones_like(truth), nuisance)
    assert not aurocs_in_strata(scores[:0], truth[:0], nuisance[:0])
    assert not aurocs_in_strata(np.full(1000, np.nan), truth, nuisance)
