"""net=residual."""

import pytest
import torch
from pneumo_ad.errors import ConfigError
from pneumo_ad.runs.compose import build, compose_config

from cloth_ad.nets.residual import ResidualAutoencoder


def test_its_yaml_builds_it():
    assert isinstance(build(compose_config("train", ["net=residual"]).net), ResidualAutoencoder)


@pytest.mark.parametrize("side", [8, 32])
def test_it_gives_back_patches_of_any_side_that_it_can_halve(side):
    x = torch.rand(2, 1, side, side)
    reconstruction = ResidualAutoencoder(width=4)(x).reconstruction
    assert reconstruction.shape == x.shape
    assert reconstruction.min() >= 0
    assert reconstruction.max() <= 1
    with pytest.raises(ConfigError, match="divisible by 8"):
        ResidualAutoencoder()(torch.rand(1, 1, side + 2, side + 2))
