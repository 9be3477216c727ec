"""Colours of a map over its radiograph: on a fixed scale, within the lung field, with the tissue showing through."""

import math

import numpy as np
import pytest

from pneumo_ad.inference.predictor import Calibration
from pneumo_ad.prediction.overlay import overlay

SIDE = 512
COLUMNS = slice(100, 400)


def drawn(anomaly, picture=None, scale=(0.5, 1.0)):
    """Pixels of the radiograph in an overlay, with a lung field in the middle."""
    field = np.zeros((SIDE, SIDE), dtype=np.uint8)
    field[100:400, COLUMNS] = 1
    picture = np.full((SIDE, SIDE), 120, dtype=np.uint8) if picture is None else picture
    page = overlay(picture, np.broadcast_to(np.float32(anomaly), (SIDE, SIDE)), field, scale, "chance", ["word"], True)
    return np.asarray(page)[:SIDE].astype(int)


def test_nothing_is_coloured_far_from_the_lung_field_nor_below_the_scale():
    found = drawn(1.0)
    coloured = (found.max(axis=2) - found.min(axis=2)) > 3
    assert coloured[110:390, 110:390].all()
    away = np.ones((SIDE, SIDE), dtype=bool)
    away[90:410, 90:410] = False
    assert (found[away] == 120).all()
    assert (drawn(0.5)[110:390, 110:390] == 120).all()
    assert (drawn(np.nan)[110:390, 110:390] == 120).all()


def test_colours_turn_from_purple_to_yellow_up_to_the_end_of_the_scale():
    red, green, blue = drawn(np.linspace(0.5, 1, SIDE)[None])[250, 110:390].T
    assert (np.diff(red - blue) >= -2).all()
    assert (np.diff(green - blue)[60:] >= -2).all()
    assert len(np.unique(red - blue)) > 60  # no long part of the scale looks alike


def test_tissue_shows_through_the_strongest_colour():
    tissue = np.tile(np.arange(SIDE) % 2 * 60 + 60, (SIDE, 1)).astype(np.uint8)
    found = drawn(1.0, tissue)[250, 110:390].mean(axis=1)
    assert abs(np.diff(found)).mean() > 25


@pytest.mark.parametrize(
    ("highest", "expected"), [(math.inf, (0.4, 1.0)), (1.0, (0.4, 1.0)), (2.0, (0.4, 2.0))], ids=str
)
def test_the_scale_of_a_bounded_score_ends_at_its_bound(highest, expected):
    standard = Calibration("x", "", np.arange(3.0), 0.05, None, (0.1, 0.4), highest=highest)
    assert standard.colours == pytest.approx(expected)
