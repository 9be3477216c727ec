import pytest
import torch

from pneumo_ad.clustering import train_embedding
from pneumo_ad.errors import ConfigError


def clouds(n=300, side=16, seed=0):
    """Bright blobs at places of their own, in faint noise; signed grey levels."""
    generator = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.linspace(-1, 1, side), torch.linspace(-1, 1, side), indexing="ij")
    centre = torch.rand(n, 2, 1, 1, generator=generator) - 0.5
    blob = torch.exp(-4 * ((x - centre[:, 0]) ** 2 + (y - centre[:, 1]) ** 2))
    return (30 * blob + torch.randn(n, side, side, generator=generator))[:, None]


def test_it_learns_what_varies_and_carries_it_over():
    found = train_embedding(clouds(), latent=4, steps=300)
    assert found(clouds()).shape == (300, 4)
    assert found.explained(clouds(seed=1)) > 0.8
    assert train_embedding(clouds(), latent=4, steps=0).explained(clouds(seed=1)) < 0.1


def test_the_seed_decides_and_nothing_outside_is_touched():
    torch.manual_seed(7)
    state = torch.get_rng_state()
    one, same, other = (train_embedding(clouds(60), steps=5, seed=seed)(clouds(20)) for seed in (0, 0, 1))
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(one, same)
    assert not torch.allclose(one, other)


def test_grey_levels_of_any_size_stay_within_the_unit():
    found = train_embedding(clouds(), steps=1)
    unit = found.unit(torch.tensor([-1e6, -1.0, 0.0, 1.0, 1e6]).view(5, 1, 1, 1)).flatten()
    assert (unit.diff() > 0).all()
    assert unit[0] >= 0
    assert unit[-1] <= 1


def test_pictures_that_are_all_equal_are_not_divided_by_nothing():
    assert torch.isfinite(train_embedding(torch.zeros(10, 1, 8, 8), steps=2)(torch.zeros(2, 1, 8, 8))).all()


def test_an_odd_side_is_refused():
    with pytest.raises(ConfigError, match="15"):
        train_embedding(clouds(10, side=15), steps=1)
