import numpy as np
import pytest
import torch
from scipy.stats import skew

from pneumo_ad.clustering import FEATURES, compressed, plain_features
from pneumo_ad.nets import Output
from pneumo_ad.scores import SAD


def noise(seed=0, n=6, side=16, sigma=8.0):
    return sigma * torch.randn(n, 1, side, side, generator=torch.Generator().manual_seed(seed))


def by_name(residual):
    return dict(zip(FEATURES, plain_features(residual).T, strict=True))


def log(values):
    return np.sign(values) * np.log1p(np.abs(values))


def test_features_equal_their_definitions():
    residual = noise() + 3
    found = by_name(residual)
    for i, r in enumerate(residual[:, 0].double().numpy()):
        steps = (np.abs(np.diff(r, axis=0)).mean() + np.abs(np.diff(r, axis=1)).mean()) / 2
        blocks = r.reshape(4, 4, 4, 4).mean(axis=(1, 3))
        expected = {
            "mean": log(r.mean()),
            "sad": log(np.abs(r).mean()),
            "spread": log(r.std()),
            "peak": log(np.abs(r).max()),
            "roughness": log(steps),
            "skewness": log(skew(r.ravel())),
            "coarse_share": blocks.var() / r.var(),
        }
        assert {name: float(values[i]) for name, values in found.items()} == pytest.approx(expected, abs=1e-4)


def test_sad_is_the_score_of_that_name():
    x = torch.rand(5, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    y = torch.rand(5, 1, 16, 16, generator=torch.Generator().manual_seed(2))
    score = SAD().score(x, Output(y))
    assert torch.allclose(by_name(255 * (x - y))["sad"].exp() - 1, score, rtol=1e-4)


def test_sign_turns_mean_and_skewness_and_nothing_else():
    one, other = by_name(noise() + 2), by_name(-noise() - 2)
    for name in FEATURES:
        sign = -1 if name in ("mean", "skewness") else 1
        assert torch.allclose(one[name], sign * other[name], atol=1e-5), name


def test_form_does_not_depend_on_amplitude():
    one, other = by_name(noise()), by_name(100 * noise())
    for name in ("skewness", "coarse_share"):
        assert torch.allclose(one[name], other[name], atol=1e-4), name
    assert (other["sad"] > one["sad"]).all()


def test_a_cloud_is_coarse_and_noise_is_rough():
    y, x = torch.meshgrid(torch.linspace(-1, 1, 16), torch.linspace(-1, 1, 16), indexing="ij")
    cloud, grain = by_name(20 * torch.exp(-(x**2) - y**2)[None, None]), by_name(noise(n=1))
    assert cloud["coarse_share"] > 0.7
    assert grain["coarse_share"] < 0.2
    assert grain["roughness"] > cloud["roughness"]


@pytest.mark.parametrize("level", [0.0, -7.0, 1e-9])
def test_a_flat_residual_has_no_form(level):
    found = plain_features(torch.full((2, 1, 8, 8), level))
    assert torch.isfinite(found).all()
    named = dict(zip(FEATURES, found[0].tolist(), strict=True))
    assert named["skewness"] == named["coarse_share"] == 0
    assert named["mean"] == pytest.approx(log(level))


def test_compression_is_odd_and_keeps_the_order():
    values = torch.linspace(-300, 300, 601)
    assert torch.allclose(compressed(values), -compressed(-values))
    assert (compressed(values).diff() > 0).all()
