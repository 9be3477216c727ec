from pathlib import Path

import pneumo_ad.conf
import pytest
import torch

from pneumo_ad.corruptions import CoarseNoise, DrawnOpacity, MaskCenter, NoCorruption
from pneumo_ad.errors import ConfigError
from pneumo_ad.runs.compose import build, compose_config

CONF = Path(next(iter(pneumo_ad.conf.__path__)))
CORRUPTIONS = sorted(file.stem for file in (CONF / "corruption").glob("*.yaml"))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_every_corruption_keeps_the_shape_leaves_its_input_alone_and_repeats(name):
    corrupt = build(compose_config("train", [f"corruption={name}"]).corruption)
    for shape in ((3, 1, 32, 32), (2, 1, 30, 17), (1, 1, 4, 4)):
        x = torch.rand(shape, generator=generator())
        before = x.clone()
        torch.manual_seed(0)
        first = corrupt(x, generator(5))
        torch.manual_seed(1)  # the global state must not matter
        assert first.shape == shape
        assert first.dtype == x.dtype
        assert torch.equal(first, corrupt(x, generator(5)))
        assert torch.equal(x, before)


def test_none_returns_its_input():
    x = torch.rand(2, 1, 8, 8)
    assert NoCorruption()(x, generator()) is x


@pytest.mark.parametrize("std", [0.1, 0.3])
@pytest.mark.parametrize("cell", [1, 4, 16])
def test_noise_has_the_strength_it_is_given(std, cell):
    x = torch.zeros(4000, 1, 16, 16)
    noise = CoarseNoise(std, cell)(x, generator())
    assert noise.mean().abs() < 0.03 * std * cell
    # Bilinear interpolation lies between drawn values, whose spread is the one given, and averages them.
    spread = noise.std(dim=0)
    assert spread.max() < 1.1 * std
    assert spread.min() > (0.9 if cell == 1 else 0.45) * std


def test_noise_is_as_coarse_as_its_cell():
    def correlation(cell, apart):
        noise = CoarseNoise(1.0, cell)(torch.zeros(3000, 1, 32, 32), generator())[:, 0]
        a, b = noise[:, 8, 8:16].flatten(), noise[:, 8, 8 + apart : 16 + apart].flatten()
        return torch.corrcoef(torch.stack([a, b]))[0, 1].item()

    assert correlation(8, 2) > 0.8
    assert correlation(2, 2) < correlation(4, 2) < correlation(8, 2)
    assert abs(correlation(4, 12)) < 0.05


def test_patches_and_batches_get_noise_of_their_own():
    x = torch.zeros(2, 1, 16, 16)
    noise = CoarseNoise()(x, generator(0))
    assert not torch.equal(noise[0], noise[1])
    assert not torch.equal(noise, CoarseNoise()(x, generator(1)))


@pytest.mark.parametrize("options", [{"std": 0}, {"std": -1}, {"cell": 0}])
def test_options_that_cannot_work_are_refused(options):
    with pytest.raises(ConfigError, match="must be positive and cell="):
        CoarseNoise(**options)


@pytest.mark.parametrize("share", [0.01, 0.25, 0.5, 0.99])
@pytest.mark.parametrize("shape", [(2, 1, 32, 32), (2, 1, 30, 17), (1, 1, 4, 4)])
def test_a_centred_square_is_blanked_and_nothing_else(share, shape):
    x = 0.1 + 0.8 * torch.rand(shape, generator=generator())
    masked = MaskCenter(share, fill=0.0)(x, generator())
    blank = masked == 0
    side = min(max(1, round(share * min(shape[-2:]))), min(shape[-2:]) - 2)
    assert blank.sum(dim=(2, 3)).unique().tolist() == [side**2]
    assert torch.equal(masked[~blank], x[~blank])
    rows, columns = torch.nonzero(blank[0, 0], as_tuple=True)
    for at, length in ((rows, shape[-2]), (columns, shape[-1])):
        assert at.max() - at.min() + 1 == side
        assert abs((at.min() + at.max()) - (length - 1)) <= 1


def test_the_blank_square_tells_nothing_of_what_it_hides():
    x = torch.rand(3, 1, 16, 16, generator=generator())
    other = x.clone()
    other[..., 4:12, 4:12] = 1
    masked = MaskCenter(0.5)(x, generator())
    assert torch.equal(masked, MaskCenter(0.5)(other, generator()))
    seen = torch.ones(16, 16, dtype=torch.bool)
    seen[4:12, 4:12] = False
    for before, after in zip(x, masked, strict=True):
        assert torch.allclose(after[0, 4:12, 4:12], before[0, seen].mean().expand(8, 8))


def test_opacities_change_the_patch_only_where_they_lie_and_brighten_it_there():
    opacity = DrawnOpacity(p=1.0)
    x = 0.2 + 0.2 * torch.rand(200, 1, 32, 32, generator=generator())
    share, drawn = opacity.draw(x, generator(1)), opacity(x, generator(1))
    assert torch.equal(drawn[share == 0], x[share == 0])
    assert (drawn - x)[share > 0.1].mean() > 0.05
    brighter = torch.stack([(after - before).sum() for before, after in zip(x, drawn, strict=True)])
    assert (brighter > 0).all()
    covered = (share > 0).float().mean(dim=(1, 2, 3))
    assert covered.min() > 0
    assert covered.median() < 0.6
    flat = torch.full_like(x, 0.3)
    assert (opacity(flat, generator(1)) >= flat).all()
    assert drawn.max() <= 0.6  # never brighter than tissue


def test_opacities_hide_what_lies_under_them():
    x = torch.full((300, 1, 32, 32), 0.3)
    x[..., ::8] = 0.4  # vessels
    opacity = DrawnOpacity(strength=(0.9, 0.9), p=1.0)
    share, drawn = opacity.draw(x, generator()), opacity(x, generator())
    dense = (share[..., 8::8] > 0.85) & (share[..., 7:-1:8] > 0.85)
    contrast = (drawn[..., 8::8] - drawn[..., 7:-1:8])[dense]
    assert len(contrast) > 100
    assert contrast.abs().max() < 0.02


def test_opacities_are_as_large_as_strong_and_as_many_as_asked():
    x = torch.zeros(600, 1, 48, 48)

    def shares(**options):
        return DrawnOpacity(**{"p": 1.0} | options).draw(x, generator())

    small, large = shares(size=(0.1, 0.15)), shares(size=(0.4, 0.45))
    assert (large > 0).float().mean() > 4 * (small > 0).float().mean()
    assert shares(strength=(0.3, 0.4)).max() <= 0.4
    assert shares(strength=(0.3, 0.4)).amax(dim=(1, 2, 3)).median() > 0.29
    with_one = (shares(p=0.25) > 0).any(dim=3).any(dim=2).float().mean().item()
    assert with_one == pytest.approx(0.25, abs=0.06)
    middles = torch.nonzero(shares(size=(0.1, 0.1), strength=(1, 1)) > 0.9)[:, 2:].float()
    assert torch.allclose(middles.mean(dim=0), torch.full((2,), 23.5), atol=2)


def test_opacities_differ_between_patches_and_batches():
    x = torch.full((2, 1, 32, 32), 0.3)
    opacity = DrawnOpacity(p=1.0)
    drawn = opacity(x, generator(0))
    assert not torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn, opacity(x, generator(1)))


def test_opacities_keep_half_precision():
    assert DrawnOpacity()(torch.rand(2, 1, 16, 16).half(), generator()).dtype == torch.float16


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: MaskCenter(share=0), "share=0 must lie between 0 and 1"),
        (lambda: MaskCenter(share=1), "share=1 must lie between 0 and 1"),
        (lambda: MaskCenter(fill="median"), "fill='median' is not known; expected 'mean' or a grey value"),
        (lambda: MaskCenter(fill=2.0), r"fill=2\.0 is not known"),
        (lambda: DrawnOpacity(size=(0.5, 0.2)), "size=.* must be two numbers in .*, the smaller first"),
        (lambda: DrawnOpacity(size=[0.5]), "size=.* must be two numbers"),
        (lambda: DrawnOpacity(strength=(0.5, 1.2)), "strength=.* must be two numbers"),
        (lambda: DrawnOpacity(tissue=0), "tissue=0 and p="),
        (lambda: DrawnOpacity(p=1.5), r"p=1\.5 must lie in"),
    ],
)
def test_other_options_that_cannot_work_are_refused(make, words):
    with pytest.raises(ConfigError, match=words):
        make()
