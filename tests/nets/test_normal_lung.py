"""The mean normal lung: what is counted, by place and not by exposure, and what the excess over it finds."""

import numpy as np
import pytest
import torch
from drawn import SIDE, DarkIsLung, chest

from pneumo_ad.errors import ConfigError
from pneumo_ad.lungs.features import SegmenterProbability
from pneumo_ad.nets import NormalLung
from pneumo_ad.scores import SAD, Excess, UncertaintyScore


def fitted(x, cells=8):
    net = NormalLung(DarkIsLung(), cells)
    for part in x.split(7):  # in batches
        net.observe(part, x.new_ones(part.shape))
    return net.eval()


def test_moments_are_those_of_numpy_and_held_out_normals_err_as_much_as_predicted():
    x = chest(60)
    net = fitted(x)
    cells = net.describe(x).double().numpy()
    mean, variance = net.moments()
    np.testing.assert_allclose(mean, cells.mean(axis=0, keepdims=True), atol=1e-5)
    np.testing.assert_allclose(variance, cells.var(axis=0, keepdims=True), rtol=1e-3, atol=1e-5)
    ratio = (net.describe(chest(60, seed=1)) - mean).square() / variance
    assert ratio.mean().item() == pytest.approx(1, abs=0.25)


def test_the_box_is_that_of_the_lungs_and_of_all_where_there_are_none():
    net = NormalLung(DarkIsLung())
    centre, half = net.box(chest(1))
    corner = (centre - half / 1.2 + 1) / 2 * SIDE
    torch.testing.assert_close(corner, torch.tensor([[8.0, 12.0]]), atol=1e-3, rtol=0)
    torch.testing.assert_close(half / 1.2 * SIDE, torch.tensor([[44.0, 40.0]]), atol=1e-3, rtol=0)
    centre, half = net.box(torch.ones(1, 1, SIDE, SIDE))
    torch.testing.assert_close(centre, torch.zeros(1, 2))
    torch.testing.assert_close(half / 1.2, torch.ones(1, 2))


def test_neither_exposure_nor_where_the_patient_stands_changes_a_cell():
    net = NormalLung(DarkIsLung(), cells=8)
    x = chest(3)
    torch.testing.assert_close(net.describe(0.1 + 0.6 * x), net.describe(x), atol=1e-4, rtol=0)
    moved = chest(3, top=16, left=12)  # by 4 pixels each way
    torch.testing.assert_close(
        net.describe(moved)[..., 1:-1, 1:-1], net.describe(x)[..., 1:-1, 1:-1], atol=1e-3, rtol=0
    )


def test_detail_is_kept_and_what_normal_lung_has_in_every_cell_is_its_own_reconstruction():
    x = chest(1).repeat(4, 1, 1, 1)
    net = fitted(x)
    torch.testing.assert_close(net(x).reconstruction, x, atol=1e-4, rtol=0)
    assert SAD().score(x, net(x)).max() < 0.05


def test_what_is_brighter_than_normal_lung_exceeds_it_and_what_is_darker_does_not():
    net, x = fitted(chest(60)), chest(1, seed=5)
    spot = (..., slice(26, 36), slice(14, 24))
    bright, dark = x.clone(), x.clone()
    bright[spot] += 0.12
    dark[spot] -= 0.12
    before, brighter, darker = (Excess().residual_map(one, net(one))[spot].mean().item() for one in (x, bright, dark))
    assert brighter > 3 + before
    assert darker == pytest.approx(0, abs=0.05)
    two_sided = [UncertaintyScore().residual_map(one, net(one))[spot].mean().item() for one in (bright, dark)]
    assert min(two_sided) > 4


def test_radiographs_without_a_lung_field_are_left_out():
    x = chest(20)
    net = fitted(x)
    net.observe(chest(5, seed=9), torch.zeros(5, 1, SIDE, SIDE))
    assert net.count.item() == 20
    torch.testing.assert_close(net.moments(), fitted(x).moments())


def test_weights_travel_and_the_segmenter_stays_as_it_is():
    net = NormalLung(SegmenterProbability(), cells=4)
    before = {key: value.clone() for key, value in net.segmentation.state_dict().items()}
    net.train().observe(torch.rand(4, 1, SIDE, SIDE), torch.ones(4, 1, SIDE, SIDE))
    assert not any(parameter.requires_grad for parameter in net.parameters())
    assert all(torch.equal(before[key], value) for key, value in net.segmentation.state_dict().items())
    other = NormalLung(SegmenterProbability(), cells=4)
    other.load_state_dict(net.state_dict())
    x = torch.rand(2, 1, SIDE, SIDE)
    torch.testing.assert_close(other.eval()(x)[:2], net.eval()(x)[:2])


def test_options_are_checked():
    with pytest.raises(ConfigError, match="cells=0"):
        NormalLung(DarkIsLung(), cells=0)
