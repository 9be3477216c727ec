import functools
from pathlib import Path

import pneumo_ad.conf
import pytest
import torch

from pneumo_ad.errors import ConfigError
from pneumo_ad.losses import L1Loss
from pneumo_ad.nets import (
    VAE,
    BottleneckAutoencoder,
    MemoryAutoencoder,
    Output,
    UncertaintyAutoencoder,
    UNet,
    UNetAutoencoder,
)
from pneumo_ad.nets.memory_autoencoder import sparse_attention
from pneumo_ad.nets.uncertainty_autoencoder import LEAST_LOG_VARIANCE
from pneumo_ad.nets.upconv import upsample
from pneumo_ad.nets.vae import kl_to_standard_normal
from pneumo_ad.runs.compose import build, compose_config

CONF = Path(next(iter(pneumo_ad.conf.__path__)))
JUDGES = {"feature_gaussian", "feature_gaussian_lung", "kind_unet", "anomalib"}  # test_judges.py, test_anomalib.py
OTHERS = {"aligned_gaussian", "normal_lung", "variance_head"}  # in files of their own
NETS = sorted({file.stem for file in (CONF / "net").glob("*.yaml")} - JUDGES - OTHERS)


def parameters(net):
    return sum(parameter.numel() for parameter in net.parameters())


@functools.cache
def config_of(name, *overrides):
    return compose_config("train", [f"net={name}", "net.width=4", *overrides]).net


def small(name, *overrides):
    torch.manual_seed(0)
    return build(config_of(name, *overrides))


DENSE = {name for name in NETS if "patch" in config_of(name)}  # these take one patch size, the others any


def everything(output):
    """A scalar that all a net returns is part of."""
    parts = [output.reconstruction.var()]
    parts += [output.log_variance.var()] if output.log_variance is not None else []
    return sum(parts if output.penalty is None else [*parts, output.penalty])


@pytest.mark.parametrize("name", NETS)
def test_every_net_returns_a_picture_of_the_shape_of_its_input(name):
    for size in ((32, 32), (64, 64), (16, 64), (64, 48)):
        if name in DENSE and size[0] != size[1]:
            continue
        net = small(name, f"patch={size[0]}").eval()
        output = net(torch.rand(3, 1, *size))
        assert isinstance(output, Output)
        assert output.reconstruction.shape == (3, 1, *size)
        assert output.reconstruction.dtype == torch.float32
        assert output.reconstruction.min() >= 0
        assert output.reconstruction.max() <= 1
        assert output.log_variance is None or output.log_variance.shape == (3, 1, *size)
        assert output.penalty is None or (output.penalty.shape == () and output.penalty >= 0)


@pytest.mark.parametrize("name", sorted(set(NETS) - DENSE))
def test_a_net_of_convolutions_does_not_depend_on_the_patch(name):
    sizes = [{key: value.shape for key, value in small(name, f"patch={p}").state_dict().items()} for p in (32, 64)]
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize("name", NETS)
def test_every_parameter_of_every_net_gets_a_gradient(name):
    net = small(name)
    everything(net(torch.rand(8, 1, 32, 32))).backward()
    without = [key for key, parameter in net.named_parameters() if parameter.grad is None or not parameter.grad.any()]
    assert without == []


@pytest.mark.parametrize("name", NETS)
def test_every_net_repeats_itself_in_evaluation_and_keeps_its_float32_picture_in_bfloat16(name):
    net = small(name).eval()
    x = torch.rand(2, 1, 32, 32)
    assert torch.equal(net(x).reconstruction, net(x).reconstruction)
    with torch.autocast("cpu", torch.bfloat16):
        output = net(x)
    assert output.reconstruction.dtype == torch.float32
    assert torch.allclose(output.reconstruction, net(x).reconstruction, atol=0.02)


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("norm", ["none", "batch"])
def test_every_net_takes_the_words_that_size_it(name, norm):
    fewer = parameters(small(name, f"net.norm={norm}"))
    for larger in ("net.width=8", "net.convs=2", *(f"net.{key}=200" for key in ("latent", "slots"))):
        if larger.split("=")[0].removeprefix("net.") in config_of(name):
            assert parameters(small(name, f"net.norm={norm}", larger)) > fewer
    assert small(name, "net.depth=1", "patch=6").eval()(torch.rand(1, 1, 6, 6)).reconstruction.shape == (1, 1, 6, 6)


WRONG = ["width=0", "depth=0", "convs=0", "norm=layer", "latent=0", "slots=0", "beta=0"]


@pytest.mark.parametrize(
    ("name", "wrong"), [(name, wrong) for name in NETS for wrong in WRONG if wrong.split("=")[0] in config_of(name)]
)
def test_every_net_refuses_sizes_that_cannot_work(name, wrong):
    with pytest.raises(ConfigError, match=wrong.split("=")[0]):
        small(name, f"net.{wrong}")


@pytest.mark.parametrize("name", NETS)
def test_every_net_names_the_nearest_patch_that_works(name):
    with pytest.raises(ConfigError, match="sides divisible by 8; got 30, the nearest that work: 24 or 32"):
        small(name, "net.depth=3", "patch=30")(torch.zeros(1, 1, 30, 30))


@pytest.mark.parametrize("name", sorted(DENSE))
def test_a_dense_net_refuses_other_patches_by_name(name):
    net = small(name, "patch=32")
    with pytest.raises(ConfigError, match=r"made for, 32 x 32 \(patch=32\); got 64 x 64; train one with patch=64"):
        net(torch.zeros(1, 1, 64, 64))
    with pytest.raises(ConfigError, match=r"got 32 x 64$"):
        net(torch.zeros(1, 1, 32, 64))


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


def test_a_dense_bottleneck_passes_no_more_numbers_than_its_latent():
    torch.manual_seed(0)
    net = BottleneckAutoencoder(patch=16, latent=3, width=4, depth=2)
    x = torch.rand(1, 1, 16, 16)
    jacobian = torch.autograd.functional.jacobian(lambda x: net(x).reconstruction, x).reshape(256, 256)
    strength = torch.linalg.svdvals(jacobian)
    assert strength[2] > 1e-4 * strength[0]
    assert strength[3] < 1e-5 * strength[0]


def test_the_divergence_is_torchs_and_0_at_the_standard_normal():
    assert (kl_to_standard_normal(torch.zeros(2, 5), torch.zeros(2, 5)) == 0).all()
    mean, log_variance = torch.randn(2, 7, 5, generator=torch.Generator().manual_seed(0))
    theirs = torch.distributions.kl_divergence(
        torch.distributions.Normal(mean, (log_variance / 2).exp()), torch.distributions.Normal(0.0, 1.0)
    ).sum(dim=1)
    assert torch.allclose(kl_to_standard_normal(mean, log_variance), theirs, atol=1e-5)
    assert (theirs > 0).all()


def test_the_penalty_of_a_vae_is_beta_times_nats_per_pixel():
    torch.manual_seed(0)
    net = VAE(patch=16, latent=3, beta=0.5, width=4, depth=2).eval()
    x = torch.rand(4, 1, 16, 16)
    nats = kl_to_standard_normal(*net.encode(x))
    assert net(x).penalty.item() == pytest.approx(0.5 * nats.mean().item() / 256)
    net.beta = 1.0
    assert net(x).penalty.item() == pytest.approx(nats.mean().item() / 256)


def test_a_vae_samples_in_training_and_takes_the_mean_in_evaluation():
    torch.manual_seed(0)
    net, x = VAE(patch=16, latent=3, width=4, depth=2, norm="none"), torch.rand(1, 1, 16, 16)
    mean, log_variance = net.encode(x)
    sampled = []
    net.decoder.register_forward_hook(lambda decoder, inputs, output: sampled.append(inputs[0]))
    with torch.no_grad():
        pictures = [net(x).reconstruction for _ in range(2000)]
        assert not torch.equal(pictures[0], pictures[1])
        drawn = torch.cat(sampled)
        assert torch.allclose(drawn.mean(dim=0), mean[0], atol=0.1)
        assert torch.allclose(drawn.std(dim=0), (log_variance[0] / 2).exp(), rtol=0.1)
        sampled.clear()
        assert torch.equal(net.eval()(x).reconstruction, net.decoder(mean))
        assert torch.equal(sampled[0], mean)


@pytest.mark.parametrize("shrink", [0.0, 1.0, 3.0, 1000.0])
def test_attention_sums_to_one_and_is_as_sparse_as_asked(shrink):
    queries, memory = torch.randn(2, 50, 8, generator=torch.Generator().manual_seed(0))
    attention = sparse_attention(queries, memory, shrink)
    plain = sparse_attention(queries, memory, 0.0)
    assert torch.allclose(attention.sum(dim=1), torch.ones(50))
    assert (attention >= 0).all()
    assert torch.equal(attention.argmax(dim=1), plain.argmax(dim=1))
    if shrink == 0:
        cosine = torch.nn.functional.cosine_similarity(queries[:, None], memory[None], dim=2)
        assert torch.allclose(attention, (cosine / 0.1).softmax(dim=1), atol=1e-6)
    else:
        kept = attention > 0
        assert kept.float().mean() < 0.5
        if shrink <= 3:
            assert torch.equal(kept, plain > shrink / 50)


def test_attention_to_a_memory_of_equals_is_uniform_not_empty():
    attention = sparse_attention(torch.randn(3, 4), torch.ones(5, 4), shrink=3.0)
    assert torch.allclose(attention, torch.full((3, 5), 0.2))


def test_a_memory_returns_nothing_but_what_it_holds():
    torch.manual_seed(0)
    net = MemoryAutoencoder(slots=1, width=4).eval()
    a, b = net(torch.rand(2, 1, 32, 32)).reconstruction
    assert torch.equal(a, b)  # one item answers everything
    net = MemoryAutoencoder(slots=20, width=4).eval()
    x = torch.rand(1, 1, 32, 32)
    attention = net.attend(x)
    read = torch.einsum("bhws,sc->bchw", attention, net.memory)
    assert torch.allclose(net(x).reconstruction, net.decoder(read).sigmoid(), atol=1e-6)
    for item in net.memory.data.T:
        item.fill_(item[0])
    assert torch.allclose(net(x).reconstruction, net(torch.rand(1, 1, 32, 32)).reconstruction, atol=1e-5)


def test_the_penalty_of_a_memory_is_its_attentions_entropy():
    torch.manual_seed(0)
    net, x = MemoryAutoencoder(slots=20, shrink=0.5, entropy=0.1, width=4), torch.rand(2, 1, 32, 32)
    entropy = torch.distributions.Categorical(probs=net.attend(x)).entropy().mean()
    assert net(x).penalty.item() == pytest.approx(0.1 * entropy.item(), rel=1e-4)
    assert 0 < entropy < torch.tensor(20.0).log()
    one = MemoryAutoencoder(slots=1, width=4)
    assert one(x).penalty.item() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("options", [{"shrink": -1.0}, {"entropy": -0.1}])
def test_a_memory_refuses_negative_weights(options):
    with pytest.raises(ConfigError, match="must not be negative"):
        MemoryAutoencoder(**options)


def test_a_log_variance_stays_between_one_grey_level_and_the_whole_range():
    torch.manual_seed(0)
    net = UncertaintyAutoencoder(width=4)
    for scale in (1.0, 1e6):
        net.decoder.head.weight.data *= scale
        log_variance = net(torch.rand(4, 1, 32, 32)).log_variance
        assert log_variance.min() >= LEAST_LOG_VARIANCE
        assert log_variance.max() <= 0
    assert abs(LEAST_LOG_VARIANCE + 2 * torch.tensor(255.0).log()) < 0.1


def test_another_loss_trains_the_mean_and_leaves_the_variance_alone():
    torch.manual_seed(0)
    net, x = UncertaintyAutoencoder(width=4), torch.rand(2, 1, 32, 32)
    L1Loss()(x, net(x)).backward()
    assert net.decoder.head.weight.grad[0].any()
    assert not net.decoder.head.weight.grad[1].any()
    assert not net.decoder.head.bias.grad[1].any()
