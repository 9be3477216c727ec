from pathlib import Path

import pneumo_ad.conf
import pytest
import torch

from pneumo_ad.compose import build, compose_config
from pneumo_ad.errors import ConfigError
from pneumo_ad.nets import Output, UNet, UNetAutoencoder
from pneumo_ad.nets.unet import upsample

CONF = Path(next(iter(pneumo_ad.conf.__path__)))
NETS = sorted(file.stem for file in (CONF / "net").glob("*.yaml"))


def parameters(net):
    return sum(parameter.numel() for parameter in net.parameters())


def small(name):
    torch.manual_seed(0)
    return build(compose_config("train", [f"net={name}", "net.width=4"]).net)


@pytest.mark.parametrize("name", NETS)
def test_every_net_returns_a_picture_of_the_shape_of_its_input(name):
    net = small(name).eval()
    for size in ((32, 32), (16, 64), (64, 48)):
        output = net(torch.rand(3, 1, *size))
        assert isinstance(output, Output)
        assert output.reconstruction.shape == (3, 1, *size)
        assert output.reconstruction.dtype == torch.float32
        assert output.reconstruction.min() >= 0
        assert output.reconstruction.max() <= 1


@pytest.mark.parametrize("name", NETS)
def test_every_parameter_of_every_net_gets_a_gradient(name):
    net = small(name)
    net(torch.rand(8, 1, 32, 32)).reconstruction.var().backward()
    without = [key for key, parameter in net.named_parameters() if parameter.grad is None or not parameter.grad.any()]
    assert without == []


@pytest.mark.parametrize("name", NETS)
def test_every_net_answers_each_patch_by_itself(name):
    net = small(name).eval()
    x = torch.rand(4, 1, 32, 32)
    together = net(x).reconstruction
    alone = torch.cat([net(one[None]).reconstruction for one in x])
    assert torch.allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize("name", NETS)
def test_every_net_is_finite_on_black_and_white(name):
    net = small(name).eval()
    for level in (0.0, 1.0):
        assert net(torch.full((2, 1, 32, 32), level)).reconstruction.isfinite().all()


@pytest.mark.parametrize(
    ("depth", "side", "words"),
    [
        (2, 30, "a net of depth 2 needs sides divisible by 4; got 30, the nearest that work: 28 or 32"),
        (3, 33, "needs sides divisible by 8; got 33, the nearest that work: 32 or 40"),
        (4, 8, "needs sides divisible by 16; got 8, the nearest that work: 16"),
        (5, 100, "needs sides divisible by 32; got 100, the nearest that work: 96 or 128"),
    ],
)
def test_a_side_that_cannot_be_halved_is_refused_and_those_it_names_work(depth, side, words):
    net = UNetAutoencoder(width=1, depth=depth).eval()
    with pytest.raises(ConfigError) as refused:
        net(torch.zeros(1, 1, side, side))
    assert words in str(refused.value)
    for named in words.split("work: ")[1].split(" or "):
        assert net(torch.zeros(1, 1, int(named), int(named))).reconstruction.shape[-1] == int(named)
    with pytest.raises(ConfigError):
        net(torch.zeros(1, 1, 2**depth, side))


def test_the_papers_net_has_the_papers_shape():
    net = UNet(width=32, depth=2)
    sizes = []
    for block in net.encoder:
        block.register_forward_hook(lambda block, inputs, output: sizes.append(tuple(output.shape[1:])))
    net(torch.zeros(1, 1, 32, 32))
    assert sizes == [(32, 32, 32), (64, 16, 16), (128, 8, 8)]  # 8 x 8 at the bottom, channels double
    convolutions = [module for module in net.modules() if isinstance(module, torch.nn.Conv2d)]
    assert [tuple(conv.kernel_size) for conv in convolutions] == [(3, 3)] * 5 + [(1, 1)]
    # By hand: 3 x 3 convolutions with bias; the decoder sees its level below beside the skip.
    by_hand = sum(9 * a * b + b for a, b in ((1, 32), (32, 64), (64, 128), (128 + 64, 64), (64 + 32, 32))) + 32 + 1
    assert parameters(net) == by_hand


def test_skips_add_the_parameters_that_see_them_and_nothing_else():
    width = 4
    difference = parameters(UNet(width, depth=2)) - parameters(UNet(width, depth=2, skips=False))
    assert difference == 9 * (2 * width) * (2 * width) + 9 * width * width


def test_without_skips_everything_passes_the_bottleneck():
    torch.manual_seed(0)
    for skips, passes in ((True, True), (False, False)):
        net = UNet(width=4, depth=2, skips=skips)
        for parameter in net.encoder[-1].parameters():
            parameter.data.zero_()
        a, b = net(torch.rand(1, 1, 16, 16)), net(torch.rand(1, 1, 16, 16))
        assert (not torch.allclose(a, b)) == passes


def test_autoencoder_is_the_unet_without_skips():
    assert "autoencoder" in NETS
    assert parameters(small("autoencoder")) == parameters(UNetAutoencoder(width=4, skips=False))


@pytest.mark.parametrize("options", [{"width": 8}, {"depth": 3}, {"convs": 2}, {"norm": "batch"}])
def test_every_option_has_an_effect(options):
    assert parameters(UNet(**{"width": 4} | options)) > parameters(UNet(width=4))


@pytest.mark.parametrize("options", [{"width": 0}, {"depth": 0}, {"convs": 0}, {"norm": "layer"}])
def test_options_that_cannot_work_are_refused(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        UNetAutoencoder(**options)


def test_upsampling_copies_pixels():
    x = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    assert upsample(x)[0, 0].tolist() == [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
