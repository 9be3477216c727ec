import numpy as np
import pytest
from scipy.stats import binomtest

from pneumo_ad.errors import DataError
from pneumo_ad.metrics.proportion import false_alarm_rate, share_with_interval
from pneumo_ad.metrics.ranking import interval_of, resamples_of


def clustered(rng, rate, patients, each, likeness):
    """Alarms of patients who are unlike each other (beta-binomial) and whose they are."""
    chance = np.full(patients, rate)
    if likeness:
        chance = rng.beta(rate * (1 / likeness - 1), (1 - rate) * (1 / likeness - 1), patients)
    owner = np.repeat(np.arange(patients), each)
    return rng.random(len(owner)) < chance[owner], owner


def bootstrap(values, owner):
    """The percentile interval that AUROC has."""
    weights = resamples_of(int(owner.max()) + 1, 300)
    return interval_of((weights @ np.bincount(owner, values)) / (weights @ np.bincount(owner)))


@pytest.mark.parametrize("n", [2, 5, 20, 150])
@pytest.mark.parametrize("share", [0, 0.05, 0.5, 1])
def test_with_one_sample_from_each_patient_the_interval_is_clopper_pearsons(n, share):
    found = round(share * n)
    interval = share_with_interval(np.arange(n) < found, np.arange(n))
    expected = binomtest(found, n).proportion_ci(method="exact")
    assert interval.value == found / n
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_samples_that_repeat_their_patient_say_nothing_new():
    first = np.arange(20) < 6
    once = share_with_interval(first, np.arange(20))
    tenfold = share_with_interval(np.repeat(first, 10), np.repeat(np.arange(20), 10))
    assert once.value == tenfold.value
    assert tenfold.high - tenfold.low == pytest.approx(once.high - once.low, rel=0.1)
    apart = share_with_interval(np.repeat(first, 10), np.arange(200))
    assert apart.high - apart.low < 0.5 * (tenfold.high - tenfold.low)


def test_none_and_all_leave_room_for_what_was_not_seen():
    owner = np.repeat(np.arange(30), 144)
    none, every = share_with_interval(np.zeros(len(owner)), owner), share_with_interval(np.ones(len(owner)), owner)
    assert none[:2] == (0, 0)
    assert none.high == pytest.approx(1 - 0.025 ** (1 / 30))  # that of 30 patients, not of 4,320 windows
    assert every == pytest.approx((1, 1 - none.high, 1))
    assert bootstrap(np.zeros(len(owner)), owner) == (0, 0)  # what we do not want


def test_one_large_patient_counts_no_more_than_it_must():
    even = share_with_interval(np.zeros(100), np.repeat(np.arange(10), 10))
    uneven = share_with_interval(np.zeros(100), np.repeat(np.arange(10), [91, *[1] * 9]))
    assert uneven.high > 2 * even.high


def test_a_single_patient_knows_nothing_of_others():
    assert share_with_interval(np.array([0.0, 1.0]), np.zeros(2)) == (0.5, 0, 1)


@pytest.mark.parametrize(
    ("rate", "patients", "each", "likeness"),
    [(0.01, 20, 1, 0), (0.01, 50, 20, 0.05), (0.05, 50, 1, 0), (0.05, 20, 50, 0.05), (0.2, 20, 50, 0.3),
     (0.2, 12, 144, 0.1), (0.5, 20, 50, 0)],
)  # fmt: skip
def test_the_interval_covers_the_rate_as_often_as_it_says(rate, patients, each, likeness):
    rng, covered, by_bootstrap = np.random.default_rng(0), 0, 0
    for _ in range(200):
        values, owner = clustered(rng, rate, patients, each, likeness)
        found = false_alarm_rate(values.astype(float), 0.5, owner)
        low, high = bootstrap(values, owner)
        covered += found.low <= rate <= found.high
        by_bootstrap += low <= rate <= high
    assert covered >= 0.92 * 200
    assert covered >= by_bootstrap


def test_few_rare_alarms_of_patients_very_unlike_each_other_are_the_hard_case():
    """Promised in the docstring: a little less than it says, far better than the bootstrap."""
    rng, covered, by_bootstrap = np.random.default_rng(0), 0, 0
    for _ in range(200):
        values, owner = clustered(rng, 0.01, 20, 50, 0.3)
        found = share_with_interval(values, owner)
        low, high = bootstrap(values, owner)
        covered += found.low <= 0.01 <= found.high
        by_bootstrap += low <= 0.01 <= high
    assert covered >= 0.8 * 200 > by_bootstrap


def test_an_alarm_lies_above_the_threshold():
    scores = np.array([1.0, 2.0, 3.0, 4.0])
    assert false_alarm_rate(scores, 3.0, np.arange(4)).value == 0.25
    assert false_alarm_rate(scores, 2.9, np.array(["a", "a", "b", "b"])).value == 0.5


@pytest.mark.parametrize(
    ("scores", "words"),
    [(np.zeros(0), "there are none"), (np.array([1.0, np.nan, 2.0]), "1 of 3 normals have no score")],
)
def test_what_has_no_rate_is_refused(scores, words):
    with pytest.raises(DataError, match=words):
        false_alarm_rate(scores, 1.0, np.arange(len(scores)))
