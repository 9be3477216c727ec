"""Gaussians by place in the lungs: whose features count, and that the score rises with haze and nothing else."""

import numpy as np
import pytest
import torch
from drawn import SIDE, DarkIsLung, chest
from torch import nn

from pneumo_ad.errors import ConfigError, DataError
from pneumo_ad.nets import AlignedGaussian
from pneumo_ad.scores import Judgement, JudgementInLung

CELLS = 8


class Raw(nn.Module):
    """Grey value, its square and how it changes downwards."""

    channels = 3

    def forward(self, x):
        return [x, x.square(), x - x.roll(4, dims=2)]


def net_of(**options):
    return AlignedGaussian(Raw(), DarkIsLung(), **{"cells": CELLS} | options)


def fitted(x, **options):
    net = net_of(**options)
    for part in x.split(7):  # in batches
        net.observe(part, (part < 0.5).float())
    return net.eval()


def hazy(x, by):
    return torch.where(x < 0.5, x + by, x)


def in_lung(net, x):
    return net(x).anomaly[..., 18:46, 14:46]


def test_a_cell_counts_the_features_of_its_neighbours_as_its_own():
    x = chest(20)
    alone, together = fitted(x, neighbours=0), fitted(x, neighbours=1)
    sums = alone.total.reshape(CELLS, CELLS, 3).numpy()
    expected = np.zeros_like(sums)
    for row in range(CELLS):
        for column in range(CELLS):
            expected[row, column] = sums[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2].sum(axis=(0, 1))
    np.testing.assert_allclose(together.moments()[1].reshape(CELLS, CELLS, 3), expected)
    assert torch.equal(alone.moments()[1], alone.total)


def test_the_score_is_the_matched_filter_of_numpy():
    x, seen = chest(60), chest(3, seed=4)
    net = fitted(x, neighbours=0, blur=0, shrinkage=0.01)
    described = net.describe(x).double().numpy()[:, 4, 3]  # a cell amidst the lung
    covariance = np.cov(described.T, bias=True)
    covariance = 0.99 * covariance + 0.01 * np.trace(covariance) / 3 * np.eye(3)
    inverse = np.linalg.inv(covariance)
    way = net.shift[4 * CELLS + 3].numpy()
    offset = net.describe(seen).double().numpy()[:, 4, 3] - described.mean(axis=0)
    expected = offset @ inverse @ way / np.sqrt(way @ inverse @ way)
    box = net.box(seen)
    found = box.cut(net(seen).anomaly, 16 * CELLS)[:, 0, 16 * 4 + 8, 16 * 3 + 8]
    np.testing.assert_allclose(found, expected, atol=0.15)


def test_haze_raises_the_score_and_what_darkens_lowers_it():
    net, x = fitted(chest(60)), chest(6, seed=5)
    spot = (..., slice(26, 36), slice(14, 24))
    brighter, darker = x.clone(), x.clone()
    brighter[spot] += 0.1
    darker[spot] -= 0.1
    before, above, below = (net(one).anomaly[spot].mean().item() for one in (x, brighter, darker))
    assert above > before + 1.5
    assert below < before - 1.5
    weaker = x.clone()
    weaker[spot] += 0.04
    assert before < net(weaker).anomaly[spot].mean().item() < above
    either = fitted(chest(60), haze=0)  # without a direction, a dark spot is an anomaly too
    before, above, below = (either(one).anomaly[spot].mean().item() for one in (x, brighter, darker))
    assert min(above, below) > 2 * before


def test_held_out_normals_score_about_0_with_a_spread_of_about_1():
    scores = in_lung(fitted(chest(200), neighbours=0), chest(60, seed=1))
    assert scores.mean().item() == pytest.approx(0, abs=0.1)
    assert scores.std().item() == pytest.approx(0.8, abs=0.15)  # between cells the map is a mean of theirs


def test_neither_exposure_nor_where_the_patient_stands_changes_a_score():
    net, x = fitted(chest(60)), chest(3, seed=8)
    torch.testing.assert_close(net(0.1 + 0.6 * x).anomaly, net(x).anomaly, atol=0.02, rtol=0)
    moved = net(chest(3, seed=8, top=16, left=12)).anomaly  # by 4 pixels each way
    torch.testing.assert_close(moved[..., 24:48, 20:44], net(x).anomaly[..., 20:44, 16:40], atol=0.05, rtol=0)


def test_radiographs_without_a_lung_field_are_left_out_and_one_is_needed():
    x = chest(20)
    net = fitted(x)
    net.observe(chest(5, seed=9), torch.zeros(5, 1, SIDE, SIDE))
    torch.testing.assert_close(net.gaussian(), fitted(x).gaussian())
    torch.testing.assert_close(net.shift, fitted(x).shift)
    with pytest.raises(DataError, match="no cell of lung was seen"):
        net_of()(x)


def test_a_direction_that_was_not_measured_is_not_read():
    net = fitted(chest(20), haze=0)
    net.haze = 0.5
    net.forget()
    with pytest.raises(DataError, match="fitted with haze=0"):
        net(chest(1))


def test_weights_travel_and_what_it_is_made_of_stays_as_it_is():
    x = chest(20)
    net = fitted(x)
    assert not any(parameter.requires_grad for parameter in net.parameters())
    other = net_of()
    other.load_state_dict(net.state_dict())
    assert torch.equal(other.eval()(x).anomaly, net(x).anomaly)
    assert not net.train().segmentation.training
    assert not net.features.training


def test_options_are_checked_and_nothing_is_claimed_of_what_lies_outside():
    for options in ({"neighbours": -1}, {"blur": -0.5}, {"haze": -1}, {"cells": 0}, {"shrinkage": 0}):
        name = next(iter(options))
        with pytest.raises(ConfigError, match=f"{name}={options[name]}"):
            net_of(**options)
    assert Judgement.orders_outside
    assert not JudgementInLung.orders_outside
