from pathlib import Path

import pneumo_ad.conf
import pytest
import torch

from pneumo_ad.compose import build, compose_config
from pneumo_ad.corruptions import CoarseNoise, NoCorruption
from pneumo_ad.errors import ConfigError

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
