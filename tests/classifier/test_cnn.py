import pytest
import torch
from torch import nn

from pneumo_ad.classifier import RadiographCNN
from pneumo_ad.errors import ConfigError


@pytest.mark.parametrize("size", [(8, 8), (64, 64), (256, 256), (97, 130)])
def test_one_logit_for_each_radiograph_of_any_size(size):
    net = RadiographCNN(hidden=8)
    assert net(torch.rand(3, 1, *size)).shape == (3,)
    assert net.features(torch.rand(2, 1, *size)).shape == (2, 32, size[0] // 8, size[1] // 8)


def test_the_layers_are_the_papers():
    kinds = [type(layer).__name__ for layer in RadiographCNN().modules() if not list(layer.children())]
    pools, convolutions = (kinds.count(name) for name in ("MaxPool2d", "Conv2d"))
    assert (pools, convolutions) == (3, 3)
    assert kinds.index("BatchNorm2d") > max(i for i, kind in enumerate(kinds) if kind == "MaxPool2d")
    decided = [kind for kind in kinds if kind in ("Linear", "Dropout")]
    assert decided == ["Linear", "Dropout", "Linear"]
    assert all(layer.kernel_size == (3, 3) for layer in RadiographCNN().modules() if isinstance(layer, nn.Conv2d))
    assert next(layer.p for layer in RadiographCNN().modules() if isinstance(layer, nn.Dropout)) == 0.5


def test_pooling_before_relu_gives_what_relu_before_pooling_gives():
    torch.manual_seed(0)
    net, x = RadiographCNN(), torch.rand(2, 1, 64, 64)
    expected = x
    for layer in net.features:
        if isinstance(layer, nn.Conv2d):
            expected = nn.functional.max_pool2d(torch.relu(layer(expected)), 2)
    assert torch.equal(net.features(x), expected)


def test_every_weight_gets_a_gradient():
    torch.manual_seed(0)
    net = RadiographCNN()
    net(torch.rand(4, 1, 64, 64)).square().sum().backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in net.parameters())


@pytest.mark.parametrize(
    ("shape", "words"),
    [((1, 3, 64, 64), "one grey channel"), ((64, 64), "one grey channel"), ((1, 1, 7, 64), "the least is 8 x 8")],
)
def test_what_does_not_fit_is_refused_by_name(shape, words):
    with pytest.raises(ConfigError, match=words):
        RadiographCNN()(torch.zeros(shape))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"widths": []}, "widths"),
        ({"widths": [8, 0]}, "widths"),
        ({"cells": 0}, "cells=0"),
        ({"dropout": 1}, "dropout=1"),
    ],
)
def test_numbers_that_cannot_be_are_refused_by_name(arguments, words):
    with pytest.raises(ConfigError, match=words):
        RadiographCNN(**arguments)
