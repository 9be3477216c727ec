from pathlib import Path

import numpy as np
import pneumo_ad.conf
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pneumo_ad.errors import ConfigError
from pneumo_ad.metrics.catalogue import MOSTLY_LUNG
from pneumo_ad.runs.compose import build, compose_config
from pneumo_ad.scores.aggregates import Highest, Mean, TopFraction

CONF = Path(next(iter(pneumo_ad.conf.__path__)))
CHOICES = sorted(file.stem for file in (CONF / "aggregate").glob("*.yaml"))


def aggregate_of(name, *overrides):
    return build(compose_config("train", [f"aggregate={name}", *overrides]).aggregate)


def top_by_hand(values, inside, fraction):
    """Sorts what is inside and takes the first ones, by counting."""
    found = sorted((value for value, own in zip(values, inside, strict=True) if own), reverse=True)
    taken = next(n for n in range(1, len(found) + 1) if n / len(found) >= fraction - 1e-12)
    return sum(found[:taken]) / taken


def of(aggregate):
    """The aggregate, of numpy and to numpy."""
    return lambda values, inside: aggregate(torch.from_numpy(values), torch.from_numpy(inside)).numpy()


def scored(seed=0, images=7, windows=144):
    rng = np.random.default_rng(seed)
    return rng.gamma(2, size=(images, windows)).astype(np.float32), rng.random((images, windows))


def test_mean_is_the_image_score_there_was():
    values, lung_share = scored()
    lung_share[3] = 0
    found = of(Mean())(values, lung_share > MOSTLY_LUNG)
    for value, row, share in zip(found, values, lung_share, strict=True):
        if (share > 0.5).any():
            assert value == pytest.approx(row[share > 0.5].mean(dtype=np.float64))
    assert np.isnan(found[3])


@pytest.mark.parametrize("name", CHOICES)
def test_every_choice_gives_one_score_and_none_where_nothing_is_inside(name):
    values, lung_share = scored()
    inside = lung_share > 0.5
    inside[2] = False
    found = of(aggregate_of(name))(values, inside)
    assert (found.shape, found.dtype) == ((7,), np.float64)
    assert np.isnan(found).tolist() == [i == 2 for i in range(7)]
    assert aggregate_of(name).of == ("radiograph" if name == "own" else "patches")
    assert aggregate_of(name, "aggregate.of=pixels").of == "pixels"


@pytest.mark.parametrize("name", CHOICES)
def test_what_lies_outside_and_what_no_window_covers_has_no_say(name):
    values, lung_share = scored()
    inside, rule = lung_share > 0.5, of(aggregate_of(name))
    expected = rule(values, inside)
    np.testing.assert_array_equal(rule(np.where(inside, values, 1e6).astype(np.float32), inside), expected)
    uncovered = lung_share > 0.9
    np.testing.assert_array_equal(rule(np.where(uncovered, np.nan, values), inside), rule(values, inside & ~uncovered))


@pytest.mark.parametrize("name", CHOICES)
def test_a_higher_score_anywhere_never_lowers_the_radiographs(name):
    values, lung_share = scored()
    rule, inside = of(aggregate_of(name)), lung_share > 0.5
    plain = rule(values, inside)
    raised = rule(values + np.random.default_rng(1).random(values.shape), inside)
    assert (raised > plain).all()
    assert rule(3 * values + 7, inside) == pytest.approx(3 * plain + 7, rel=1e-5)


@given(st.lists(st.tuples(st.floats(-5, 5), st.booleans()), min_size=1, max_size=30), st.floats(0.01, 1))
def test_the_top_fraction_equals_its_definition(window, fraction):
    values, inside = np.array([[value for value, _ in window]]), np.array([[own for _, own in window]])
    found = of(TopFraction(fraction))(values, inside)[0]
    if inside.any():
        assert found == pytest.approx(top_by_hand(values[0], inside[0], fraction), abs=1e-9)
    else:
        assert np.isnan(found)


def test_the_top_fraction_lies_between_the_highest_and_the_mean():
    values, lung_share = scored()
    inside = lung_share > 0.3
    assert of(TopFraction(1.0))(values, inside) == pytest.approx(of(Mean())(values, inside))
    np.testing.assert_array_equal(of(TopFraction(1e-6))(values, inside), of(Highest())(values, inside))
    between = of(TopFraction(0.1))(values, inside)
    assert ((of(Mean())(values, inside) < between) & (between < of(Highest())(values, inside))).all()


def test_a_tenth_of_thirty_is_three():
    values = np.arange(30.0)[None]
    assert of(TopFraction(0.1))(values, np.ones((1, 30), bool))[0] == 28


@pytest.mark.parametrize("fraction", [0, -0.1, 1.5, float("nan")])
def test_a_fraction_outside_the_unit_interval_is_refused(fraction):
    with pytest.raises(ConfigError, match=r"fraction=.* must lie in \(0, 1\]"):
        TopFraction(fraction)


@pytest.mark.parametrize("rule", [Mean, TopFraction, Highest])
def test_of_what_a_score_is_made_is_patches_or_pixels(rule):
    with pytest.raises(ConfigError, match=r"of='images' is not known: .* patches, pixels, radiograph"):
        rule(of="images")
