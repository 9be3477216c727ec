"""A head on a frozen net: the net is as it was, the head learns how much it errs."""

import pytest
import torch

from pneumo_ad.errors import ConfigError
from pneumo_ad.losses import UncertaintyLoss
from pneumo_ad.nets import MemoryAutoencoder, Output, UNetAutoencoder, VarianceHead
from pneumo_ad.nets.uncertainty_autoencoder import LEAST_LOG_VARIANCE
from pneumo_ad.scores import SAD, UncertaintyScore


class Blind(torch.nn.Module):
    """Returns its input without the noise that was laid over the bright half."""

    def forward(self, x):
        return Output((x > 0.5).float() * 0.5 + 0.25)


def noisy(n=64, seed=0):
    """Left half 0.25 with noise of 0.02, right half 0.75 with noise of 0.1."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn((n, 1, 16, 16), generator=generator)
    right = (torch.arange(16) >= 8).float()
    return (0.25 + 0.5 * right + noise * (0.02 + 0.08 * right)).clamp(0, 1)


def trained(net, steps=150):
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    losses = []
    for step in range(steps):
        x = noisy(seed=step)
        loss = UncertaintyLoss()(x, net.train()(x))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_the_likelihood_falls_to_that_of_the_noise_and_the_ratio_is_1_on_held_out_patches():
    torch.manual_seed(0)
    net = VarianceHead(Blind(), width=8)
    losses = trained(net)
    best = 1 + (torch.tensor([0.02, 0.1]).square().log()).mean().item()
    assert losses[-1] < losses[0] - 0.5
    assert losses[-1] == pytest.approx(best, abs=0.15)
    x = noisy(seed=1000)
    ratio = UncertaintyScore().residual_map(x, net.eval()(x))
    for half in (slice(1, 7), slice(9, 15)):  # each by itself, though one errs five times as much
        assert ratio[..., half].mean().item() == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("make", [UNetAutoencoder, MemoryAutoencoder])
def test_the_autoencoder_stays_as_it_is_to_the_bit_and_alone_learns_nothing(make):
    torch.manual_seed(0)
    inner = make(width=4, depth=2, norm="batch")
    inner(torch.rand(8, 1, 16, 16))
    before = {key: value.clone() for key, value in inner.state_dict().items()}
    x = noisy(4)
    alone = inner.eval()(x)
    net = VarianceHead(inner, width=4)
    trained(net, steps=3)
    assert all(torch.equal(before[key], value) for key, value in net.autoencoder.state_dict().items())
    output = net.eval()(x)
    assert torch.equal(output.reconstruction, alone.reconstruction)
    assert torch.equal(SAD().score(x, output), SAD().score(x, alone))
    assert output.penalty is None
    assert LEAST_LOG_VARIANCE <= output.log_variance.min() <= output.log_variance.max() <= 0
    grown = [key for key, one in net.named_parameters() if one.grad is not None]
    assert grown == [key for key, _ in net.named_parameters() if key.startswith("head.")]


def test_a_width_is_checked():
    with pytest.raises(ConfigError, match="width=0"):
        VarianceHead(UNetAutoencoder(4), width=0)
