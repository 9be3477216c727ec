"""Drawings: what is promised of every family, and of mixtures."""

import pytest
import torch
from scipy.ndimage import label

from pneumo_ad.drawings import (
    Blends,
    Consolidations,
    Deformations,
    Devices,
    Drawn,
    Effusions,
    Exposure,
    Haze,
    Lines,
    Mixture,
    Pastes,
    Shade,
    Spots,
    Swells,
    Veils,
)
from pneumo_ad.drawings.blends import membrane
from pneumo_ad.drawings.drawing import Brush, blurred
from pneumo_ad.errors import ConfigError

ANOMALIES = {
    "veils": Veils(),
    "consolidations": Consolidations(),
    "effusions": Effusions(),
    "spots": Spots(),
    "lines": Lines(),
    "pastes": Pastes(),
    "blends": Blends(),
    "swells": Swells(),
    "deformations": Deformations(),
}
DISTRACTORS = {"haze": Haze(), "shade": Shade(), "devices": Devices(), "exposure": Exposure()}
FAMILIES = ANOMALIES | DISTRACTORS


def radiographs(count=12, size=(96, 96), seed=0):
    """Noise about dark lungs in bright tissue; (B, 1, H, W) each."""
    height, width = size
    down, right = torch.arange(height)[:, None] / height, torch.arange(width) / width
    lung = torch.zeros(1, 1, height, width)
    for middle in (0.3, 0.7):
        lung[0, 0][((down - 0.5) / 0.35) ** 2 + ((right - middle) / 0.15) ** 2 < 1] = 1
    noise = torch.randn((count, 1, height, width), generator=torch.Generator().manual_seed(seed))
    return (0.7 - 0.45 * lung + 0.04 * noise).clamp(0, 1), lung.expand(count, -1, -1, -1).clone()


def drawn(family, seed=0, **of):
    x, lung = radiographs(**of)
    return x, lung, family(x.clone(), lung, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", [(96, 96), (64, 128), (256, 192)])
@pytest.mark.parametrize("name", FAMILIES)
def test_what_comes_out_is_radiographs_and_a_mask(name, size):
    x, lung, found = drawn(FAMILIES[name], size=size)
    assert found.x.shape == found.mask.shape == x.shape
    assert found.x.isfinite().all()
    assert 0 <= found.x.min() <= found.x.max() <= 1
    assert set(found.mask.unique().tolist()) <= {0.0, 1.0}
    assert not (found.mask * (1 - lung)).any()


@pytest.mark.parametrize("name", FAMILIES)
def test_a_seed_draws_the_same_and_another_seed_something_else(name):
    first, again, other = (drawn(FAMILIES[name], seed)[2] for seed in (0, 0, 1))
    assert torch.equal(first.x, again.x)
    assert torch.equal(first.mask, again.mask)
    assert not torch.equal(first.x, other.x)


@pytest.mark.parametrize("name", FAMILIES)
def test_what_is_given_is_left_as_it_is(name):
    x, lung = radiographs()
    before = x.clone()
    FAMILIES[name](x, lung, torch.Generator().manual_seed(0))
    assert torch.equal(x, before)


@pytest.mark.parametrize("name", sorted(set(ANOMALIES) - {"deformations"}))  # which move tissue as well as air
def test_what_is_to_be_found_is_brighter_than_it_was(name):
    x, _, found = drawn(ANOMALIES[name], count=24)
    assert found.mask.any()
    inside = found.mask == 1
    assert (found.x - x)[inside].mean() > 2 * (found.x - x)[~inside].abs().mean()


@pytest.mark.parametrize("name", DISTRACTORS)
def test_a_distractor_changes_radiographs_and_leaves_nothing_to_find(name):
    x, _, found = drawn(DISTRACTORS[name])
    assert not torch.equal(found.x, x)
    assert not found.mask.any()


@pytest.mark.parametrize("name", ANOMALIES)
def test_nothing_is_drawn_without_lungs(name):
    x, lung = radiographs()
    found = ANOMALIES[name](x, torch.zeros_like(lung), torch.Generator().manual_seed(0))
    assert torch.equal(found.x, x)
    assert not found.mask.any()


def test_stronger_veils_are_brighter():
    weak, strong = (drawn(Veils(strength=pair))[2] for pair in ((0.1, 0.1), (0.9, 0.9)))
    assert strong.x.mean() > weak.x.mean()


def test_an_effusion_fills_one_lung_from_its_base_and_higher_where_it_is_told_to():
    _, _lung, found = drawn(Effusions(height=(0.4, 0.4)), count=24)
    rows = found.mask.sum(dim=3)[:, 0]
    assert (rows[:, -96 // 4 : -96 // 5] > 0).all()  # the base
    assert not rows[:, :40].any()  # the apex
    left, right = found.mask[..., :48].flatten(1).any(dim=1), found.mask[..., 48:].flatten(1).any(dim=1)
    assert (left ^ right).all()
    assert left.any()
    assert right.any()
    _, _, white = drawn(Effusions(height=(1, 1)), count=24)
    assert white.mask.sum() > 1.5 * found.mask.sum()


def test_a_consolidation_hides_what_is_within():
    x, lung = radiographs(count=16)
    vessels = x.clone()
    vessels[..., ::4, :] += 0.1 * lung[..., ::4, :]
    plain, striped = (
        Consolidations(strength=(1, 1))(one, lung, torch.Generator().manual_seed(0)) for one in (x, vessels)
    )
    dense = plain.mask * (plain.x - x > 0.3)
    assert dense.sum() > 100
    assert (striped.x - plain.x)[dense == 1].abs().mean() < 0.5 * (vessels - x)[dense == 1].abs().mean()


def test_a_membrane_is_the_mean_of_its_neighbours_and_keeps_its_border():
    border = torch.rand((2, 9, 14), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = membrane(border)
    near = found[:, :-2, 1:-1] + found[:, 2:, 1:-1] + found[:, 1:-1, :-2] + found[:, 1:-1, 2:]
    assert torch.allclose(found[:, 1:-1, 1:-1], near / 4)
    assert torch.equal(found[:, [0, -1]], border[:, [0, -1]])
    assert torch.equal(found[:, :, [0, -1]], border[:, :, [0, -1]])


def test_a_blend_has_no_step_at_its_border():
    x, lung = radiographs(count=16, size=(128, 128))
    smooth = blurred(x, 9) + torch.linspace(0, 0.2, 16)[:, None, None, None]
    found = Blends()(smooth, torch.ones_like(lung), torch.Generator().manual_seed(0))
    step = (found.x - smooth).diff(dim=-1).abs().amax()
    assert step < 4 * smooth.diff(dim=-1).abs().amax()


def test_spots_are_few_and_large_or_many_and_small():
    _, _, found = drawn(Spots(amplitude=(2, 2), rings=0), count=40, size=(256, 256))
    counts = torch.tensor([label(one[0].numpy())[1] for one in found.mask])
    areas = found.mask.sum(dim=(1, 2, 3)) / counts.clamp_min(1)
    few = counts <= 3
    assert 8 < few.sum() < 32
    assert counts.max() > 12
    assert areas[few].median() > 3 * areas[~few].median()


def test_a_mixture_leaves_its_share_alone_and_draws_into_the_others():
    x, lung = radiographs(count=200)
    mixture = Mixture([Veils(), Spots()], unmodified=0.3)
    found = mixture(x, lung, torch.Generator().manual_seed(0))
    same = (found.x == x).flatten(1).all(dim=1)
    assert 0.2 < same.float().mean() < 0.4
    assert not found.mask[same].any()
    assert found.mask[~same].flatten(1).any(dim=1).float().mean() > 0.9


def test_a_mixture_draws_each_family_as_often_as_its_weight_says():
    class Marked:
        def __init__(self, grey):
            self.grey = grey

        def __call__(self, x, lung, generator):
            return Drawn(torch.full_like(x, self.grey), lung)

    x, lung = radiographs(count=400, size=(16, 16))
    found = Mixture([Marked(0.25), Marked(0.75)], [1, 3], unmodified=0, further=0)(
        x, lung, torch.Generator().manual_seed(0)
    )
    share = (found.x[:, 0, 0, 0] == 0.75).float().mean()
    assert 0.68 < share < 0.82


def test_a_mixture_draws_nothing_to_find_where_there_are_no_lungs():
    x, lung = radiographs()
    lung[::2] = 0
    found = Mixture([Veils()], unmodified=0)(x, lung, torch.Generator().manual_seed(0))
    assert not found.mask[::2].any()
    assert torch.equal(found.x[::2], x[::2])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Veils(most=0), "most=0 must be at least 1"),
        (lambda: Veils(strength=(0.5, 0.2)), r"strength=\[0.5, 0.2\]"),
        (lambda: Consolidations(strength=(0.5, 2)), r"strength=\[0.5, 2\]"),
        (lambda: Effusions(height=(0, 1)), r"height=\[0, 1\]"),
        (lambda: Spots(many=2), "many=2 must be at least 5"),
        (lambda: Spots(rings=2), r"rings=2 in \[0, 1\]"),
        (lambda: Lines(amplitude=(0, 1)), r"amplitude=\[0, 1\] must be two positive numbers"),
        (lambda: Mixture([]), "0 anomalies need as many weights"),
        (lambda: Mixture([Veils()], [1, 2]), "1 anomalies need as many weights"),
        (lambda: Mixture([Veils()], distractors=[Haze()], chances=[2]), "1 distractors need as many chances"),
        (lambda: Mixture([Veils()], unmodified=1), "unmodified=1"),
    ],
)
def test_options_that_cannot_be_are_refused(make, words):
    with pytest.raises(ConfigError, match=words):
        make()


@pytest.mark.parametrize("side", [3, 5, 7, 9, 13, 15])
def test_a_blur_is_the_mean_of_a_square(side):
    x, around = torch.rand((2, 1, 20, 30), generator=torch.Generator().manual_seed(0)), (side // 2,) * 4
    padded = torch.nn.functional.pad(x, around, mode="replicate")
    assert torch.allclose(blurred(x, side), torch.nn.functional.avg_pool2d(padded, side, 1), atol=1e-6)


def test_smooth_noise_has_a_deviation_of_about_one():
    x, lung = radiographs(count=64)
    for cells in (3, 12, 48):
        noise = Brush(x, lung, torch.Generator().manual_seed(0)).smooth_noise(cells, cells)
        assert 0.9 < noise.std() < 1.1
        assert abs(noise.mean()) < 0.25
