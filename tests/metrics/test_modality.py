import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog
from scipy.stats import norm

from pneumo_ad.errors import DataError
from pneumo_ad.metrics.modality import dip, dip_test, mixture_bics, modality, unskewed


def dip_by_its_definition(values):
    """Least distance to a distribution with one hump, by linear programming over every place of the mode.

    Unknown are the distribution at each value (at the mode before and after its jump) and the distance, which bounds
    how far it lies from the empirical one on both sides of each step.
    """
    x, counts = np.unique(values, return_counts=True)
    after = np.cumsum(counts) / len(values)
    before = after - counts / len(values)
    return min(_distance_with_mode(x, before, after, mode) for mode in range(len(x)))


def _distance_with_mode(x, before, after, mode):
    where = np.concatenate([np.arange(mode + 1), np.arange(mode, len(x))])  # the mode twice: before and after its jump
    unknowns, rows, bounds = len(where) + 1, [], []

    def at_most(bound, **weights):
        row = np.zeros(unknowns)
        for name, weight in weights.items():
            row[int(name[1:])] += weight
        rows.append(row)
        bounds.append(bound)

    for i, k in enumerate(where):
        steps = [before[k], after[k]]
        if k == mode:
            steps = steps[:1] if i == mode else steps[1:]
        for step in steps:
            at_most(step, **{f"u{i}": 1, f"u{unknowns - 1}": -1})
            at_most(-step, **{f"u{i}": -1, f"u{unknowns - 1}": -1})
        if i:
            at_most(0, **{f"u{i - 1}": 1, f"u{i}": -1})  # a distribution rises
    for i in range(1, len(where) - 1):
        if i in (mode, mode + 1):
            continue
        left, right = 1 / (x[where[i]] - x[where[i - 1]]), 1 / (x[where[i + 1]] - x[where[i]])
        bend = 1 if i < mode else -1  # convex below the mode, concave above
        at_most(0, **{f"u{i - 1}": -bend * left, f"u{i}": bend * (left + right), f"u{i + 1}": -bend * right})
    found = linprog(np.eye(unknowns)[-1], np.array(rows), bounds, bounds=(0, 1))
    return found.fun if found.status == 0 else np.inf


samples = st.one_of(
    st.lists(st.integers(0, 6), min_size=3, max_size=14),
    st.lists(st.integers(-1000, 1000), min_size=3, max_size=14),
).filter(lambda values: len(set(values)) > 1)


def humps(centres, n=400, spread=0.3, seed=0):
    """Log-normal scores around exp(centre)."""
    rng = np.random.default_rng(seed)
    return np.exp(np.concatenate([rng.normal(centre, spread, n) for centre in centres]))


# What `dipstat` of the package diptest 0.12.0 says of the samples of the test below, rounded to one decimal (ties) and
# to eight: a row per seed.
DIPTEST = {
    1: [
        [0.1, 0.1, 0.0955882352941, 0.03375, 0.03, 0.0338709677419, 0.021375, 0.0195, 0.0233611111111],
        [0.166666666667, 0.1, 0.113513513514, 0.0416666666667, 0.0383333333333, 0.0401923076923,
         0.0206666666667, 0.0218333333333, 0.0253],
        [0.1, 0.139130434783, 0.14756097561, 0.0441666666667, 0.0323529411765, 0.0328947368421,
         0.0206666666667, 0.0188333333333, 0.0271532258065],
        [0.1, 0.1, 0.12, 0.0328571428571, 0.0313636363636, 0.0332608695652, 0.0217222222222, 0.0202777777778,
         0.0245134408602],
        [0.1, 0.1, 0.0738095238095, 0.035, 0.0342857142857, 0.0382608695652, 0.0213333333333, 0.0193333333333,
         0.0264222222222],
        [0.1, 0.193333333333, 0.15, 0.049375, 0.035, 0.0442307692308, 0.0223333333333, 0.0209,
         0.0211893939394],
    ],
    8: [
        [0.1, 0.1, 0.0981494251718, 0.0304512223907, 0.0233017311099, 0.0305643485417, 0.00448486672854,
         0.00462181837689, 0.0161602985264],
        [0.170081469645, 0.1, 0.115043340343, 0.0328388901836, 0.0260875430444, 0.0355255020423,
         0.00441281240631, 0.00425380747652, 0.0183200999365],
        [0.1, 0.135979316593, 0.144304864838, 0.0363419341295, 0.0312201903629, 0.0306812116079,
         0.00373085057157, 0.00348699120675, 0.0200162728156],
        [0.1, 0.1, 0.118809936737, 0.0275582195995, 0.0262720231079, 0.0290633779359, 0.0040276273766,
         0.00402669307785, 0.0169493670031],
        [0.1, 0.1, 0.0739155972418, 0.0313698588988, 0.0254096930398, 0.0361457108958, 0.0037716641285,
         0.00443787628043, 0.0194913096347],
        [0.1, 0.193948848704, 0.147455095834, 0.043233806366, 0.0257252178709, 0.0395235899329,
         0.00488439641865, 0.00446655189953, 0.0142745899257],
    ],
}  # fmt: skip


def even_normal(n):
    return norm.ppf((np.arange(n) + 0.5) / n)


@given(samples)
def test_the_dip_is_the_distance_of_its_definition(values):
    assert dip(np.array(values)) == pytest.approx(dip_by_its_definition(values), abs=1e-7)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("decimals", [1, 8], ids=["ties", "no ties"])
def test_the_dip_is_that_of_the_diptest_package(seed, decimals):
    rng, found = np.random.default_rng(seed), []
    for n in (5, 100, 3000):
        for values in (rng.normal(size=n), rng.gamma(2, size=n), np.append(rng.normal(size=n), rng.normal(3, 1, n))):
            found.append(dip(values.round(decimals)))
    assert found == pytest.approx(DIPTEST[decimals][seed], abs=1e-11)


@pytest.mark.parametrize("n", [2, 3, 10, 1000])
def test_an_even_grid_dips_least(n):
    assert dip(np.linspace(-3, 8, n)) == pytest.approx(1 / (2 * n))


def test_two_far_values_dip_most():
    assert dip(np.array([0.0] * 50 + [1.0] * 50)) == 0.25
    assert dip(np.array([0.0] * 70 + [1.0] * 30)) == pytest.approx(0.15)


@given(samples, st.integers(-50, 50), st.sampled_from([0.25, 3.0, -2.0]))
def test_origin_unit_and_order_do_not_matter(values, shift, scale):
    values = np.array(values, dtype=float)
    assert dip(scale * values[::-1] + shift) == pytest.approx(dip(values), abs=1e-12)


def test_the_dip_of_many_windows_takes_no_time():
    values = humps([0, 1], n=75_000).astype(np.float32)
    start = time.perf_counter()
    found = dip(values)
    assert time.perf_counter() - start < 2
    assert found == pytest.approx(dip(values[::10]), abs=0.01)


def test_one_gaussian_has_one_hump_and_three_separate_ones_have_not():
    assert dip_test(even_normal(5000)).p > 0.9
    assert dip_test(np.random.default_rng(0).normal(size=300)).p > 0.2
    assert dip_test(humps([0, 3, 6])).p == pytest.approx(1 / 501)


def test_p_of_uniform_samples_is_spread_evenly():
    p = np.array([dip_test(np.random.default_rng(seed).random(60), resamples=200).p for seed in range(200)])
    for level in (0.1, 0.5, 0.9):
        assert (p <= level).mean() == pytest.approx(level, abs=0.1)  # three standard errors
    assert p.min() >= 1 / 201


def test_p_repeats_and_global_state_has_no_say():
    values = np.random.default_rng(3).random(100)
    first = dip_test(values, resamples=50, seed=4)
    np.random.seed(0)
    assert dip_test(values, resamples=50, seed=4) == first
    assert first.dip == dip(values)


def test_ripples_of_overlapping_windows_are_no_humps():
    """The same 900 scores 100 times over, nearly: ties alone do not make a second hump."""
    rng = np.random.default_rng(0)
    scores = np.tile(rng.gamma(3, size=900), 100) + rng.normal(0, 1e-3, 90_000)
    assert dip_test(scores).p > 0.05


@pytest.mark.parametrize("humped", [1, 2, 3])
def test_the_criterion_picks_the_planted_number_of_humps(humped):
    bics = mixture_bics(humps([0, 2, 4][:humped]))
    assert min(bics, key=bics.get) == humped
    assert list(bics) == [1, 2, 3, 4]


def test_the_criterion_of_one_gaussian_is_that_of_its_formula():
    scores = humps([1.0], n=1000)
    logs = np.log(scores)
    expected = -2 * norm(logs.mean(), logs.std()).logpdf(logs).sum() + 2 * np.log(len(logs))
    assert mixture_bics(scores, most=1) == {1: pytest.approx(expected, rel=1e-4)}


def test_the_unit_of_the_scores_moves_no_choice():
    scores = humps([0, 2, 4])
    plain, grey = mixture_bics(scores), mixture_bics(255 * scores)
    assert plain == pytest.approx(grey, rel=1e-6)


def test_the_figures_are_flat_and_agree_with_their_parts():
    scores = humps([0, 3, 6], n=3000).reshape(30, -1).astype(np.float32)
    found = modality(scores)
    assert set(found) == {"dip", "dip_p", "bic_1", "bic_2", "bic_3", "bic_4", "components"}
    assert all(isinstance(value, float | int) and np.isfinite(value) for value in found.values())
    assert (found["dip"], found["dip_p"]) == dip_test(scores)
    assert found["components"] == 3


def test_a_skewed_hump_can_want_two_gaussians_and_still_be_one_hump():
    found = modality(np.exp(np.random.default_rng(0).gamma(2, size=5000)))
    assert found["components"] > 1
    assert found["dip_p"] > 0.5


def test_logarithms_stop_at_a_floor():
    assert unskewed(np.array([0.0, 1.0]))[0] == pytest.approx([np.log(1e-6), 0])
    assert unskewed(np.array([-2.0, 3.0]))[0].tolist() == [-2, 3]


@pytest.mark.parametrize("ask", [dip_test, mixture_bics, modality])
@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.zeros(0), "0 values are too few .*; 30 are needed"),
        (np.arange(29.0), "29 values are too few"),
        (np.full(100, 2.5), "all 100 values are 2.5"),
        (np.append(np.arange(99.0), np.nan), "1 of 100 values are not finite"),
    ],
)
def test_what_has_no_answer_is_refused_by_name(ask, values, words):
    with pytest.raises(DataError, match=words):
        ask(values)


def test_few_different_values_are_fitted_as_far_as_they_go():
    assert list(mixture_bics(np.repeat([1.0, 2.0], 50))) == [1, 2]
