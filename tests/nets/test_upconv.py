"""Upsampling, joining and convolving at once gives what the three steps give."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pneumo_ad.nets import UncertaintyAutoencoder, UNetAutoencoder
from pneumo_ad.nets.unet import UNet, UpBlock
from pneumo_ad.nets.upconv import transposed, upconv, upsample

OPTIONS = [{}, {"convs": 2}, {"skips": False}, {"norm": "batch"}, {"depth": 3}]


def spelled_out(net):
    for module in net.modules():
        if isinstance(module, UpBlock):
            module.fused = False
    return net


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("skip", [0, 1, 5])
def test_it_is_the_convolution_of_what_was_upsampled(skip, bias):
    generator = torch.Generator().manual_seed(0)
    x, kept = torch.rand(3, 4, 5, 7, generator=generator), torch.rand(3, skip, 10, 14, generator=generator)
    weight, offset = torch.randn(6, 4 + skip, 3, 3, generator=generator), torch.randn(6, generator=generator)
    expected = F.conv2d(torch.cat([upsample(x), kept], dim=1), weight, offset if bias else None, padding=1)
    found = upconv(x, kept if skip else None, weight, offset if bias else None)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)


def test_each_weight_falls_on_the_copies_it_touches():
    weight = torch.zeros(1, 1, 3, 3)
    weight[..., 0, 2] = 1  # of the pixel above to the right
    assert transposed(weight)[0, 0].tolist() == [[0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0]]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_net_gives_the_same_picture_and_gradients(options):
    torch.manual_seed(0)
    net = UNet(width=8, **options)
    x = torch.rand(2, 1, 32, 48)
    found = []
    for this in (net, spelled_out(net)):
        this.zero_grad()
        y = this.train()(x)
        y.square().mean().backward()
        found.append([y.detach(), *(p.grad.clone() for p in this.parameters())])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("make", [UNetAutoencoder, UncertaintyAutoencoder])
def test_weights_are_those_of_plain_convolutions(make):
    net = make(width=4)
    assert {tuple(m.weight.shape[2:]) for m in net.modules() if isinstance(m, nn.Conv2d)} == {(3, 3), (1, 1)}
    torch.manual_seed(1)
    x = torch.rand(2, 1, 32, 32)
    a = net.eval()(x).reconstruction
    torch.testing.assert_close(spelled_out(net)(x).reconstruction, a, rtol=0, atol=1e-6)
