"""Layers as they are traced, against what is known of the nets."""

import pytest
import torch
from torch import nn

from pneumo_ad.figures import architecture
from pneumo_ad.figures.net_layers import trace_layers
from pneumo_ad.nets import UNetAutoencoder
from pneumo_ad.runs.compose import build, compose_config

NETS = ["unet", "autoencoder", "bottleneck_autoencoder", "memory_autoencoder", "uncertainty_autoencoder", "vae"]
NETS += ["variance_head"]
JUDGES = ["kind_unet"]
GAUSSIANS = ["aligned_gaussian", "feature_gaussian", "feature_gaussian_lung", "normal_lung"]  # must have observed lung


def parameters(net):
    return sum(parameter.numel() for parameter in net.parameters())


class Strange(nn.Module):
    """Residual blocks, a lone parameter, a functional convolution, a layer never used, one used twice."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 6, 3, padding=1)
        self.twice = nn.Conv2d(6, 6, 3, padding=1)
        self.scale = nn.Parameter(torch.ones(1, 6, 1, 1))
        self.kernel = nn.Parameter(torch.ones(1, 6, 1, 1))
        self.never = nn.Linear(3, 5)

    def forward(self, x):
        x = self.first(x)
        x = x + torch.relu(self.twice(x))
        x = x + torch.relu(self.twice(x))
        return nn.functional.conv2d(x * self.scale, self.kernel)


class Tokens(nn.Module):
    """No picture inside: patches as tokens, attention."""

    def __init__(self):
        super().__init__()
        self.cut = nn.Conv2d(1, 8, 4, stride=4)
        self.block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.head = nn.Linear(8, 16)

    def forward(self, x):
        tokens = self.cut(x).flatten(2).transpose(1, 2)
        return nn.functional.fold(self.head(self.block(tokens)).transpose(1, 2), x.shape[-2:], 4, stride=4)


@pytest.mark.parametrize("name", [*NETS, *JUDGES])
def test_layers_hold_every_parameter_and_every_net_is_drawn(name):
    net = build(compose_config("train", [f"net={name}"]).net)
    layers = trace_layers(net, (32, 32))
    assert sum(layer.parameters for layer in layers) == parameters(net)
    assert layers[0].shape == (1, 32, 32)
    figure = architecture(layers, name)
    assert figure.axes[0].patches
    figure.draw_without_rendering()


@pytest.mark.parametrize("name", GAUSSIANS)
def test_a_gaussian_of_features_is_drawn_by_its_features(name):
    if name in ("aligned_gaussian", "feature_gaussian"):
        pytest.importorskip("efficientnet_lite_pytorch")
    net = build(compose_config("train", [f"net={name}"]).net)
    net.observe(torch.rand(4, 1, 64, 64), torch.ones(4, 1, 64, 64))
    layers = trace_layers(net, (64, 64))
    assert sum(layer.parameters for layer in layers) == parameters(net) > 0
    architecture(layers, name).draw_without_rendering()


def test_every_net_of_the_configs_is_tried():
    from importlib.resources import files

    there = {entry.name.removesuffix(".yaml") for entry in (files("pneumo_ad.conf") / "net").iterdir()}
    assert {name for name in there if not name.startswith("__")} == {*NETS, *JUDGES, *GAUSSIANS, "anomalib"}


@pytest.mark.parametrize(("depth", "convs"), [(2, 1), (3, 2)])
def test_a_u_nets_layers_are_those_it_was_made_of(depth, convs):
    net = UNetAutoencoder(width=4, depth=depth, convs=convs)
    layers = trace_layers(net, (32, 32))
    convolutions = [layer for layer in layers if layer.kind == "Conv2d"]
    widths = [4 * 2**level for level in range(depth + 1)]
    down = [width for width in widths for _ in range(convs)]
    up = [width for width in widths[-2::-1] for _ in range(convs)]
    assert [layer.channels for layer in convolutions] == [*down, *up, 1]
    assert [layer.kernel for layer in convolutions] == ["3 × 3"] * (len(down) + len(up)) + ["1 × 1"]
    assert [layer.height for layer in layers if layer.kind == "MaxPool2d"] == [32 // 2**i for i in range(1, depth + 1)]
    assert [layer.height for layer in layers if layer.kind == "Upsample"] == [32 // 2**i for i in range(depth)][::-1]
    joined = [layer for layer in layers if layer.kind == "Concatenate"]
    assert [layer.channels for layer in joined] == [3 * width for width in widths[-2::-1]]
    for layer, width in zip(joined, widths[-2::-1], strict=True):
        (source,) = layer.joins
        assert layers[source].shape == (width, layer.height, layer.width)
        assert layers[source].kind == "ReLU"


def test_without_skip_connections_nothing_is_joined():
    assert not any(layer.joins for layer in trace_layers(UNetAutoencoder(width=4, skips=False), (32, 32)))


def test_a_strangers_net_is_traced_whole():
    net = Strange()
    layers = trace_layers(net, (16, 12))
    assert sum(layer.parameters for layer in layers) == parameters(net)
    kinds = [layer.kind for layer in layers]
    assert kinds.count("Add") == 2
    assert [layer.parameters for layer in layers if layer.name == "twice"] == [6 * 6 * 9 + 6, 0]
    assert {layer.name for layer in layers if layer.kind == "not used"} == {"never.weight", "never.bias"}
    assert next(layer for layer in layers if layer.name == "scale").kind == "Parameter"
    assert layers[kinds.index("conv2d")].shape == (1, 16, 12)
    first = kinds.index("Conv2d")
    assert layers[kinds.index("Add")].joins == (first,)
    architecture(layers, "strange").draw_without_rendering()


def test_tokens_are_a_chain():
    net = Tokens().eval()
    layers = trace_layers(net, (16, 16))
    assert sum(layer.parameters for layer in layers) == parameters(net)
    assert [layer.shape for layer in layers if layer.kind == "TransformerEncoderLayer"] == [(8, 16, 1)]
    architecture(layers, "tokens").draw_without_rendering()


def test_a_long_net_is_drawn_in_few_boxes():
    net = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), *(nn.Conv2d(4, 4, 3, padding=1) for _ in range(200)))
    figure = architecture(trace_layers(net, (8, 8)), "long")
    assert "×201" in {text.get_text() for text in figure.axes[0].texts}


def test_tracing_leaves_the_net_as_it_was():
    net = UNetAutoencoder(width=4, norm="batch")
    net.unet.encoder[0].eval()
    modes = [module.training for module in net.modules()]
    state = {key: value.clone() for key, value in net.state_dict().items()}
    trace_layers(net, (32, 32))
    assert [module.training for module in net.modules()] == modes
    assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())
