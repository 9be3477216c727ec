from pathlib import Path

import numpy as np
import pneumo_ad.conf
import pytest

from pneumo_ad.compose import build, compose_config
from pneumo_ad.errors import ConfigError, DataError
from pneumo_ad.metrics.kinds import HEALTHY, OPACITY, OUTSIDE
from pneumo_ad.thresholds import GaussianMixture, MultiOtsu, NormalQuantiles, Thresholds

CONF = Path(next(iter(pneumo_ad.conf.__path__)))
RULES = sorted(file.stem for file in (CONF / "threshold").glob("*.yaml"))
MODES = (1.0, 6.0, 40.0)


def rule_of(name):
    return build(compose_config("train", [f"threshold={name}"]).threshold)


def planted(seed=0, n=600, spread=0.15):
    """Log-normal scores of three kinds and which kind each is."""
    rng = np.random.default_rng(seed)
    kinds = np.repeat([HEALTHY, OPACITY, OUTSIDE], n)
    return np.exp(np.log(np.array(MODES))[kinds] + rng.normal(0, spread, len(kinds))), kinds


@pytest.mark.parametrize("name", RULES)
def test_every_rule_gives_rising_finite_thresholds(name):
    scores, kinds = planted()
    for shuffled in (scores, scores[::-1], scores.astype(np.float32)):
        low, high = rule_of(name).fit(scores[kinds == HEALTHY], shuffled)
        assert np.isfinite([low, high]).all()
        assert 0 < low < high
        assert isinstance(low, float)


@pytest.mark.parametrize("rule", [MultiOtsu(), GaussianMixture()])
@pytest.mark.parametrize("seed", range(3))
def test_planted_modes_are_found(rule, seed):
    scores, kinds = planted(seed)
    thresholds = rule.fit(np.zeros(0), scores)
    assert MODES[0] < thresholds.low < MODES[1] < thresholds.high < MODES[2]
    assert (thresholds.classify(scores) == kinds).mean() > 0.98


@pytest.mark.parametrize("rule", [MultiOtsu(), GaussianMixture()])
def test_thresholds_scale_with_the_score(rule):
    scores, _ = planted()
    assert np.allclose(rule.fit(np.zeros(0), 255 * scores), 255 * np.array(rule.fit(np.zeros(0), scores)), rtol=0.05)


def test_the_mixture_cuts_where_two_gaussians_are_equally_likely():
    rng = np.random.default_rng(0)
    logs = np.concatenate([rng.normal(0, 0.3, 4000), rng.normal(2, 0.3, 4000), rng.normal(5, 0.3, 4000)])
    low, high = np.log(GaussianMixture().fit(np.zeros(0), np.exp(logs)))
    assert (low, high) == pytest.approx((1.0, 3.5), abs=0.06)


def test_quantiles_look_at_normal_lung_alone():
    normal = np.linspace(0, 1, 1001)
    thresholds = NormalQuantiles(0.9, 0.99).fit(normal, np.full(5, np.nan))
    assert thresholds == pytest.approx((0.9, 0.99))
    assert (normal > thresholds.low).mean() <= 0.1


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("scores", [np.zeros(0), np.ones(1), np.full(200, 3.0)], ids=["none", "one", "all equal"])
def test_degenerate_scores_are_refused_by_name(name, scores):
    with pytest.raises(DataError, match=r"thresholds need at least \d+ (pneumonia|normal-lung) scores"):
        rule_of(name).fit(scores, scores)


def test_two_values_hold_no_three_classes():
    with pytest.raises(DataError, match="no three classes in 100 pneumonia scores"):
        MultiOtsu().fit(np.zeros(0), np.repeat([1.0, 2.0], 50))


def test_the_mixture_of_two_values_is_refused_too():
    with pytest.raises(DataError, match="no three classes in 100 pneumonia scores"):
        GaussianMixture().fit(np.zeros(0), np.repeat([1.0, 2.0], 50))


@pytest.mark.parametrize(("low", "high"), [(0.9, 0.9), (0.99, 0.9), (-0.1, 0.5), (0.5, 1.1)])
def test_quantiles_must_rise_within_the_unit_interval(low, high):
    with pytest.raises(ConfigError, match="must rise within"):
        NormalQuantiles(low, high)


def test_classification_is_by_range_whatever_the_shape():
    thresholds = Thresholds(1.0, 5.0)
    scores = np.array([[0.0, 1.0, 1.001], [5.0, 5.001, np.inf]])
    assert thresholds.classify(scores).tolist() == [[HEALTHY, HEALTHY, OPACITY], [OPACITY, OUTSIDE, OUTSIDE]]
