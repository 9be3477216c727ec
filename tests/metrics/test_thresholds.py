from pathlib import Path

import numpy as np
import pneumo_ad.conf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pneumo_ad.errors import ConfigError, DataError
from pneumo_ad.labels import HEALTHY, OPACITY, OUTSIDE
from pneumo_ad.metrics.conformal import conformal_threshold, least_normals, p_values
from pneumo_ad.metrics.thresholds import Conformal, GaussianMixture, MultiOtsu, NormalQuantiles, Thresholds
from pneumo_ad.runs.compose import build, compose_config

CONF = Path(next(iter(pneumo_ad.conf.__path__)))
RULES = sorted({file.stem for file in (CONF / "threshold").glob("*.yaml")} - {"fixed", "kinds"})  # which fit nothing
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


@pytest.mark.parametrize("rule", [MultiOtsu(), GaussianMixture()])
def test_scores_of_either_sign_are_divided_where_they_part(rule):
    rng = np.random.default_rng(0)
    scores = np.concatenate([rng.normal(mode, 0.3, 2000) for mode in (-3, 0, 4)])
    cuts = rule.fit(np.ones(1), scores)
    ordered = np.sort(scores)
    assert ordered[1999] < cuts.low < ordered[2000]
    assert ordered[3999] < cuts.high < ordered[4000]


def test_quantiles_look_at_normal_lung_alone():
    normal = np.linspace(0, 1, 1001)
    thresholds = NormalQuantiles(0.9, 0.99).fit(normal, np.full(5, np.nan))
    assert thresholds == pytest.approx((0.9, 0.99))
    assert (normal > thresholds.low).mean() <= 0.1


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("scores", [np.zeros(0), np.ones(1), np.full(200, 3.0)], ids=["none", "one", "all equal"])
def test_degenerate_scores_are_refused_by_name(name, scores):
    with pytest.raises(DataError, match=r"thresholds need at least \d+ (abnormal|normal) scores"):
        rule_of(name).fit(scores, scores)


def test_two_values_hold_no_three_classes():
    with pytest.raises(DataError, match="no three classes in 100 abnormal scores"):
        MultiOtsu().fit(np.zeros(0), np.repeat([1.0, 2.0], 50))


def test_the_mixture_of_two_values_is_refused_too():
    with pytest.raises(DataError, match="no three classes in 100 abnormal scores"):
        GaussianMixture().fit(np.zeros(0), np.repeat([1.0, 2.0], 50))


@pytest.mark.parametrize(("low", "high"), [(0.9, 0.9), (0.99, 0.9), (-0.1, 0.5), (0.5, 1.1)])
def test_quantiles_must_rise_within_the_unit_interval(low, high):
    with pytest.raises(ConfigError, match="must rise within"):
        NormalQuantiles(low, high)


def test_classification_is_by_range_whatever_the_shape():
    thresholds = Thresholds(1.0, 5.0)
    scores = np.array([[0.0, 1.0, 1.001], [5.0, 5.001, np.inf]])
    assert thresholds.classify(scores).tolist() == [[HEALTHY, HEALTHY, OPACITY], [OPACITY, OUTSIDE, OUTSIDE]]


def realised_rates(rate, held_out, draw, trials=2000):
    """Chance that a new normal exceeds the threshold, once per draw of the held-out ones."""
    thresholds = np.array([conformal_threshold(draw(held_out), rate) for _ in range(trials)])
    return np.array([(draw(200) > threshold).mean() for threshold in thresholds])


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.3])
@pytest.mark.parametrize("held_out", [19, 37, 200])
def test_the_declared_rate_is_kept_on_average_whatever_the_distribution(rate, held_out):
    rng = np.random.default_rng(0)
    for draw in (lambda n: rng.gamma(0.5, size=n), lambda n: rng.standard_cauchy(n)):
        rates = realised_rates(rate, held_out, draw)
        noise = 4 * rates.std() / np.sqrt(len(rates))
        assert rate - 1 / (held_out + 1) - noise <= rates.mean() <= rate + noise


def test_ties_make_the_conformal_threshold_safer():
    rng = np.random.default_rng(0)
    assert realised_rates(0.1, 99, lambda n: rng.integers(0, 4, n).astype(np.float32)).mean() <= 0.1


def test_the_rule_keeps_both_of_its_rates():
    rng = np.random.default_rng(0)
    called = []
    for _ in range(300):
        thresholds = Conformal(low=0.1, high=0.02).fit(rng.gamma(2, size=150), np.zeros(0))
        called.append(thresholds.classify(rng.gamma(2, size=1000)))
    called = np.array(called)
    assert 0.1 - 1 / 151 - 0.005 < (called != HEALTHY).mean() < 0.105
    assert 0.02 - 1 / 151 - 0.003 < (called == OUTSIDE).mean() < 0.023


def test_the_conformal_threshold_is_a_place_among_the_normals():
    normals = np.random.default_rng(0).permutation(np.arange(1.0, 100.0)).reshape(9, 11)
    assert conformal_threshold(normals, 0.05) == 95
    assert conformal_threshold(normals, 0.01) == 99  # the highest, and as many as are needed
    assert conformal_threshold(normals, 0.995) == 1
    assert conformal_threshold(normals.astype(np.float32), 0.5) == 50


@pytest.mark.parametrize("rate", [0.5, 0.2, 0.1, 0.05, 0.03, 0.01, 0.001, 1 / 7])
def test_the_least_number_of_normals_is_the_least_that_is_taken(rate):
    least = least_normals(rate)
    assert 1 / (least + 1) <= rate + 1e-12 < 1 / least
    normals = np.arange(float(least))
    assert conformal_threshold(normals, rate) == least - 1
    with pytest.raises(DataError, match=f"a false-alarm rate of {rate:g} needs at least {least} normal scores; there"):
        conformal_threshold(normals[1:], rate)


def test_rules_on_normals_name_the_least_number_they_need():
    for rule, least in ((Conformal(0.05, 0.01), 99), (Conformal(0.2, 0.1), 9), (NormalQuantiles(0.9, 0.99), 100)):
        rule.fit(np.arange(float(least)), np.zeros(0))
        with pytest.raises(DataError, match=f"at least {least} normal scores .* there are {least - 1}$"):
            rule.fit(np.arange(float(least - 1)), np.zeros(0))


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.integers(1, 39))
def test_p_values_and_thresholds_say_the_same(normals, percent):
    normals, rate = np.array(normals, dtype=float), percent / 40
    scores = np.linspace(-1, 10, 45)
    p = p_values(scores, normals)
    by_hand = [(1 + sum(normal >= score for normal in normals)) / (1 + len(normals)) for score in scores]
    assert p == pytest.approx(by_hand)
    if len(normals) >= least_normals(rate):
        np.testing.assert_array_equal(p <= rate + 1e-12, scores > conformal_threshold(normals, rate))
    else:
        assert (p > rate).all()


def test_p_values_of_normals_are_no_smaller_than_they_say():
    rng = np.random.default_rng(0)
    p = np.concatenate([p_values(rng.normal(size=20), rng.normal(size=50)) for _ in range(500)])
    for level in (0.02, 0.1, 0.5):
        assert (p <= level).mean() <= level + 0.01
    assert p_values(np.zeros((2, 3)), rng.normal(size=50)).shape == (2, 3)


@pytest.mark.parametrize(("low", "high"), [(0.01, 0.05), (0.05, 0.05), (0.05, 0), (1, 0.5), (-0.1, -0.2)])
def test_declared_rates_must_fall_within_the_unit_interval(low, high):
    with pytest.raises(ConfigError, match="high below low"):
        Conformal(low, high)


@pytest.mark.parametrize("rate", [0, 1, -0.1, 5])
def test_a_rate_that_is_none_is_refused(rate):
    with pytest.raises(ConfigError, match=f"rate={rate} is no false-alarm rate"):
        conformal_threshold(np.arange(100.0), rate)


@pytest.mark.parametrize("ask", [lambda n: conformal_threshold(n, 0.1), lambda n: p_values(np.ones(1), n)])
def test_normals_without_a_score_are_refused(ask):
    with pytest.raises(DataError, match="1 of 50 normals have no score"):
        ask(np.append(np.arange(49.0), np.nan))


def test_fixed_thresholds_are_those_given_and_must_rise():
    from pneumo_ad.metrics.thresholds import Fixed

    assert tuple(Fixed(0.5, 1.5).fit(np.zeros(0), np.zeros(0))) == (0.5, 1.5)
    with pytest.raises(ConfigError, match="must lie below"):
        Fixed(2, 1)
