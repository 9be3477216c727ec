import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import label
from sklearn.metrics import roc_auc_score, roc_curve

from pneumo_ad.errors import ConfigError, DataError
from pneumo_ad.metrics.localisation import (
    per_region_overlap,
    per_region_overlap_with_interval,
    pointing_game,
    pointing_hits,
)

MONOTONE = [lambda m: 3 * m + 7, np.exp, lambda m: m**3]


def overlap_by_hand(maps, truths, limit=0.3, in_lung=False):
    """One threshold after the other: which share of each region, and of everything else, lies at or above it."""
    curve = [(0.0, 0.0)]
    for level in np.unique(np.concatenate([m[~np.isnan(m)] for m in maps]))[::-1]:
        alarms, shares = [], []
        for m, truth in zip(maps, truths, strict=True):
            seen = ~np.isnan(m)
            alarms.extend(m[seen & ((truth == 1) if in_lung else (truth != 2))] >= level)
            components, n = label(truth == 2, np.ones((3, 3)))
            regions = [m[(components == region) & seen] for region in range(1, n + 1)]
            shares.extend((own >= level).mean() for own in regions if len(own))
        curve.append((np.mean(alarms), np.mean(shares)))
    rates = (np.arange(100_000) + 0.5) / 100_000 * limit
    return np.interp(rates, *zip(*curve, strict=True)).mean()


def highest_by_hand(m, truth, in_lung):
    """Chance that one of the highest pixels, taken at random, is an opacity; NaN where no opacity is covered."""
    pixels = [(v, t == 2) for v, t in zip(m.ravel(), truth.ravel(), strict=True) if v == v and (t or not in_lung)]
    if not any(opaque for _, opaque in pixels):
        return np.nan
    highest = [opaque for v, opaque in pixels if v == max(v for v, _ in pixels)]
    return sum(highest) / len(highest)


def truth_of(seed, height=24, width=20, opacities=3):
    """A lung field with square opacities of several sizes, in touch or apart."""
    rng = np.random.default_rng(seed)
    truth = np.zeros((height, width), np.uint8)
    truth[2:-2, 3:-3] = 1
    for _ in range(opacities):
        top, left, side = rng.integers(3, height - 8), rng.integers(4, width - 8), rng.integers(1, 5)
        truth[top : top + side, left : left + side] = 2
    return truth


def drawn(n=6, quality=1.0, levels=None, uncovered=0.0, seed=0, **size):
    """Maps that know of the opacities as far as `quality`, in noise; `levels` a unit make ties."""
    rng = np.random.default_rng(seed)
    truths = [truth_of(seed + i, **size) for i in range(n)]
    maps = [(quality * (truth == 2) + rng.normal(0, 1, truth.shape)).astype(np.float32) for truth in truths]
    maps = [np.round(m * levels) for m in maps] if levels else maps
    return [np.where(rng.random(m.shape) < uncovered, np.float32(np.nan), m) for m in maps], truths


@pytest.mark.parametrize("in_lung", [False, True])
@pytest.mark.parametrize("levels", [None, 2], ids=["no ties", "ties"])
@pytest.mark.parametrize("limit", [0.05, 0.3, 1.0])
def test_the_overlap_equals_a_loop_over_all_thresholds(limit, levels, in_lung):
    for quality, seed in ((2.0, 0), (0.5, 10)):
        maps, truths = drawn(3, quality, levels, uncovered=0.1, seed=seed)
        expected = overlap_by_hand(maps, truths, limit, in_lung)
        assert per_region_overlap(maps, truths, limit, in_lung) == pytest.approx(expected, abs=1e-4)


def test_of_a_single_region_it_is_the_area_under_the_roc_curve():
    truth = np.ones((30, 30), np.int8)
    truth[4:9, 4:20] = 2
    m = np.random.default_rng(0).normal(truth)
    assert per_region_overlap([m], [truth], limit=1) == pytest.approx(roc_auc_score(truth.ravel() == 2, m.ravel()))
    rates, found, _ = roc_curve(truth.ravel() == 2, m.ravel(), drop_intermediate=False)
    below = np.append(rates[rates < 0.3], 0.3)
    partial = np.trapezoid(np.interp(below, rates, found), below)  # between steps of a ROC curve without ties
    assert per_region_overlap([m], [truth]) == pytest.approx(partial / 0.3, abs=2e-3)


def test_regions_count_alike_whatever_their_size():
    truth = np.ones((20, 20), np.uint8)
    truth[0:8, 0:8] = truth[15, 15] = 2  # 64 pixels and 1
    large, small = (truth == 2) & (np.arange(20) < 10), (truth == 2) & (np.arange(20) > 10)
    # One is found at once, and the other with all the rest, in a straight line.
    assert per_region_overlap([large.astype(float)], [truth]) == pytest.approx(0.5 + 0.5 * 0.15)
    assert per_region_overlap([small.astype(float)], [truth]) == pytest.approx(0.5 + 0.5 * 0.15)


def test_regions_touch_at_corners():
    truth = np.ones((10, 10), np.uint8)
    truth[2, 2] = truth[3, 3] = truth[7, 7] = 2  # two regions, of 2 pixels and of 1
    m = np.zeros((10, 10))
    m[7, 7] = 1
    assert per_region_overlap([m], [truth]) == pytest.approx(0.5 + 0.5 * 0.15)


@pytest.mark.parametrize("in_lung", [False, True])
def test_a_perfect_map_gives_1_and_a_constant_one_half_the_limit(in_lung):
    _, truths = drawn()
    perfect = [(truth == 2).astype(np.float32) for truth in truths]
    patients = np.arange(len(truths))
    assert per_region_overlap(perfect, truths, in_lung=in_lung) == 1
    assert per_region_overlap_with_interval(perfect, truths, patients, in_lung=in_lung) == pytest.approx((1, 1, 1))
    assert pointing_game(perfect, truths, patients, in_lung).value == 1
    constant = [np.full(truth.shape, 4.0) for truth in truths]
    for limit in (0.1, 0.3, 1.0):
        assert per_region_overlap(constant, truths, limit, in_lung) == pytest.approx(limit / 2)
    game = pointing_game(constant, truths, patients, in_lung)
    assert game.value == pytest.approx(game.chance)
    assert per_region_overlap([-m for m in perfect], truths, in_lung=in_lung) == 0
    assert pointing_game([-m for m in perfect], truths, patients, in_lung).value == 0


def test_a_random_map_is_at_chance():
    maps, truths = drawn(150, quality=0, seed=1000)
    overlap = per_region_overlap_with_interval(maps, truths, np.arange(150), resamples=200)
    assert overlap.value == pytest.approx(0.15, abs=0.02)
    assert overlap.low <= 0.15 <= overlap.high
    game = pointing_game(maps, truths, np.arange(150))
    assert game.low <= game.chance <= game.high
    assert game.chance == pytest.approx(np.mean([(truth == 2).mean() for truth in truths]))


def test_a_bright_border_is_no_matter_in_the_lung():
    maps, truths = drawn(quality=20)
    bright = [np.where(truth == 0, 100, m) for m, truth in zip(maps, truths, strict=True)]
    patients = np.arange(len(maps))
    assert per_region_overlap(bright, truths, in_lung=True) == per_region_overlap(maps, truths, in_lung=True) == 1
    assert per_region_overlap(bright, truths) < 0.2
    assert pointing_game(bright, truths, patients, in_lung=True).value == 1
    assert pointing_game(bright, truths, patients).value == 0


@pytest.mark.parametrize("transform", MONOTONE)
@pytest.mark.parametrize("n", [4, 40], ids=["every threshold", "quantiles"])
def test_a_monotone_transform_changes_nothing(transform, n):
    maps, truths = drawn(n)
    maps = [m.astype(np.float64) for m in maps]
    changed, patients = [transform(m) for m in maps], np.arange(n)
    assert per_region_overlap(changed, truths) == per_region_overlap(maps, truths)
    assert pointing_game(changed, truths, patients) == pointing_game(maps, truths, patients)


def test_quantiles_of_many_pixels_do_for_every_threshold():
    maps, truths = drawn(3, quality=1.5, height=90, width=80, opacities=20)
    assert sum(m.size for m in maps) > 4 * 4096
    expected = overlap_by_hand([m.round(2) for m in maps], truths)  # the loop takes its time with 21,600
    assert per_region_overlap(maps, truths) == pytest.approx(expected, abs=2e-3)


def test_the_interval_is_that_of_a_plain_bootstrap():
    maps, truths = drawn(24, quality=1.0)
    owner = np.arange(24) // 2
    found = per_region_overlap_with_interval(maps, truths, owner, resamples=500)
    rng, values = np.random.default_rng(0), []
    for _ in range(200):
        rows = np.concatenate([np.flatnonzero(owner == patient) for patient in rng.integers(0, 12, 12)])
        values.append(per_region_overlap([maps[i] for i in rows], [truths[i] for i in rows]))
    assert found.value == per_region_overlap(maps, truths)
    assert (found.low, found.high) == pytest.approx(np.quantile(values, [0.025, 0.975]), abs=0.015)
    assert found.low < found.value < found.high
    names = np.char.add("p", np.char.zfill(owner.astype(str), 2))
    assert per_region_overlap_with_interval(maps, truths, names, resamples=500) == found


@given(st.integers(0, 1000), st.sampled_from([0.5, 1.0, None]), st.booleans())
def test_pointing_equals_looking_for_the_highest_pixel(seed, levels, in_lung):
    maps, truths = drawn(2, levels=levels, uncovered=0.1, seed=seed, height=14, width=13, opacities=2)
    hits, _ = pointing_hits(maps, truths, in_lung)
    by_hand = [highest_by_hand(m, t, in_lung) for m, t in zip(maps, truths, strict=True)]
    assert hits == pytest.approx(by_hand, nan_ok=True)


def test_radiographs_without_an_opacity_are_left_out_of_pointing_and_are_negatives_of_the_overlap():
    maps, truths = drawn(6, quality=3)
    normal, empty = np.full((24, 20), 50.0), np.minimum(truth_of(0), 1)
    hits, chance = pointing_hits([*maps, normal], [*truths, empty])
    assert np.isnan([hits[-1], chance[-1]]).all()
    patients = np.array([0, 0, 1, 1, 2, 2, 3])
    assert pointing_game([*maps, normal], [*truths, empty], patients) == pointing_game(maps, truths, patients[:6])
    assert per_region_overlap([*maps, normal], [*truths, empty]) < per_region_overlap(maps, truths)


def test_an_opacity_that_no_window_covers_is_no_region():
    maps, truths = drawn(3, quality=3, opacities=1)
    covered = per_region_overlap(maps[:2], truths[:2])
    hidden = np.where(truths[2] == 2, np.nan, -np.inf)  # its other pixels are negatives below all
    found = per_region_overlap([*maps[:2], hidden], truths)
    assert found > covered
    assert found == pytest.approx(overlap_by_hand([*maps[:2], hidden], truths), abs=1e-4)
    assert np.isnan(pointing_hits([hidden], truths[2:])[0][0])


def test_maps_of_the_usual_size_are_a_matter_of_seconds():
    rng = np.random.default_rng(0)
    truths = [truth_of(i, 256, 256) for i in range(52)]
    maps = [rng.normal(truth == 2).astype(np.float32) for truth in truths]
    start = time.perf_counter()
    per_region_overlap_with_interval(maps, truths, np.arange(52))
    pointing_game(maps, truths, np.arange(52))
    assert time.perf_counter() - start < 10


ASKS = [
    lambda maps, truths: per_region_overlap(maps, truths),
    lambda maps, truths: per_region_overlap_with_interval(maps, truths, np.arange(len(maps))),
    lambda maps, truths: pointing_game(maps, truths, np.arange(len(maps))),
]


@pytest.mark.parametrize("ask", ASKS)
def test_what_has_no_truth_is_refused_by_name(ask):
    maps, truths = drawn(3)
    with pytest.raises(DataError, match="no anomaly in any of 3 truth masks"):
        ask(maps, [np.minimum(truth, 1) for truth in truths])
    with pytest.raises(DataError, match="3 maps and 2 truth masks"):
        ask(maps, truths[:2])
    with pytest.raises(DataError, match=r"map 1 is \(24, 20\) and its truth \(20, 24\)"):
        ask(maps, [truths[0], truths[1].T, truths[2]])


def test_nothing_but_opacity_has_no_false_positives():
    with pytest.raises(DataError, match="no pixel without an anomaly in any of 1 truth masks"):
        per_region_overlap([np.zeros((4, 4))], [np.full((4, 4), 2)])
    with pytest.raises(DataError, match="no pixel without an anomaly"):
        per_region_overlap([np.zeros((4, 4))], [np.triu(np.full((4, 4), 2))], in_lung=True)


@pytest.mark.parametrize("limit", [0, -0.1, 1.1, float("nan")])
def test_a_limit_that_is_no_rate_is_refused(limit):
    with pytest.raises(ConfigError, match=r"is no false-positive rate in \(0, 1\]"):
        per_region_overlap(*drawn(1), limit=limit)
