import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pneumo_ad.errors import ConfigError
from pneumo_ad.inference.receptive_field import ReceptiveField, check_side, receptive_field
from pneumo_ad.nets import VAE, BottleneckAutoencoder, KindUNet, MemoryAutoencoder, Output, UNetAutoencoder

CONVOLUTIONAL = {
    "unet": lambda: UNetAutoencoder(width=4),
    "deep unet": lambda: UNetAutoencoder(width=8, depth=3),
    "two convolutions, batch norm": lambda: UNetAutoencoder(width=4, convs=2, norm="batch"),
    "no skips": lambda: UNetAutoencoder(width=4, skips=False),
    "memory": lambda: MemoryAutoencoder(slots=10, width=4, depth=2),
}


class Own(nn.Module):
    """Of a user: nothing is declared."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forward(self, x):
        return Output(self.answer(x))


def farthest_from_the_border(net, step):
    """By another way: how far in a random picture comes out otherwise where it is cut out of a larger one."""
    wide = torch.rand(1, 1, 192, 192, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        alone, within = net(wide[..., 48:144, 48:144]).reconstruction, net(wide).reconstruction[..., 48:144, 48:144]
    assert 48 % step == 0
    other = (alone - within).abs()[0, 0] > 3e-6  # the sums' order differs, too
    rows = other[:, 40:56].any(dim=1).nonzero().ravel()  # of the middle columns: the sides have borders of their own
    columns = other[40:56].any(dim=0).nonzero().ravel()
    return max((int(torch.minimum(found, 95 - found).max()) + 1 for found in (rows, columns) if len(found)), default=0)


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_beyond_the_reach_a_border_changes_nothing(name):
    torch.manual_seed(0)
    net = CONVOLUTIONAL[name]().eval()
    reach = receptive_field(net, 32)
    assert 0 < farthest_from_the_border(net, reach.step) <= reach.pixels


@pytest.mark.parametrize(("depth", "pixels"), [(1, 5), (2, 11), (3, 23)])
def test_the_reach_of_a_unet_is_found_to_the_pixel(depth, pixels):
    torch.manual_seed(0)
    net = UNetAutoencoder(width=8, depth=depth).eval()
    for block in net.unet.modules():  # large weights: what is far away still shows
        if isinstance(block, nn.Conv2d):
            block.weight.data.mul_(2)
    assert receptive_field(net, 32) == ReceptiveField(pixels, 2**depth)
    assert farthest_from_the_border(net, 2**depth) == pixels


def test_nets_of_somebody_else():
    def pooled(x):
        return F.interpolate(F.avg_pool2d(F.avg_pool2d(x, 5, 1, 2), 3), scale_factor=3.0)

    assert receptive_field(Own(pooled), 24) == ReceptiveField(farthest_from_the_border(Own(pooled), 3), 3)
    assert receptive_field(Own(nn.Conv2d(1, 1, 5, padding=2)), 32) == ReceptiveField(2, 1)
    assert receptive_field(Own(nn.Identity()), 32) == ReceptiveField(0, 1)
    assert receptive_field(Own(nn.Conv2d(1, 1, (1, 9), padding=(0, 4))), 32) == ReceptiveField(4, 1)
    assert receptive_field(Own(lambda x: F.pad(x, (0, 3))[..., 3:]), 32) == ReceptiveField(3, 1)  # to one side only
    assert receptive_field(Own(lambda x: F.interpolate(F.max_pool2d(x, 4), scale_factor=4.0)), 32) == ReceptiveField(
        0, 4
    )


def test_a_step_is_found_where_every_size_is_taken():
    def padded(x):
        wide = F.pad(x, (0, -x.shape[-1] % 4, 0, -x.shape[-2] % 4))
        return F.interpolate(F.max_pool2d(wide, 4), scale_factor=4.0)[..., : x.shape[-2], : x.shape[-1]]

    assert receptive_field(Own(padded), 32) == ReceptiveField(0, 4)


REFUSED = {
    "one size": (VAE(32, width=2), "VAE takes pictures of 32 x 32 pixels and no larger ones"),
    "a dense bottleneck": (BottleneckAutoencoder(32, width=2), "and no larger ones"),
    "standardised as a whole": (KindUNet(width=2, depth=1), "sees all of a picture"),
    "the mean": (Own(lambda x: x - x.mean(dim=(2, 3), keepdim=True)), "sees all of a picture"),
    "a ramp": (Own(lambda x: x * torch.linspace(0, 1, x.shape[-1])), "by where in the picture something lies"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_nets_that_cannot_run_over_whole_radiographs_are_refused_by_name(name):
    net, words = REFUSED[name]
    with pytest.raises(ConfigError, match=words) as refused:
        receptive_field(net.eval(), 32)
    assert "scoring=windows scores with it" in str(refused.value)
    assert type(net).__name__ in str(refused.value)


@pytest.mark.parametrize(
    ("patch", "reach", "halo"), [(32, (13, 4), 14), (32, (5, 2), 5), (30, (13, 4), 13), (8, (0, 1), 0)]
)
def test_the_halo_keeps_the_sides_divisible(patch, reach, halo):
    assert ReceptiveField(*reach).halo(patch) == halo
    assert (patch + 2 * halo) % reach[1] == 0


def test_measuring_leaves_net_and_settings_as_they_were():
    net = UNetAutoencoder(width=2).train()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    enabled = torch.backends.mkldnn.enabled
    receptive_field(net, 32)
    assert net.training
    assert torch.backends.mkldnn.enabled == enabled
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


def test_a_halo_that_the_net_does_not_take_is_refused_with_those_that_it_does():
    check_side(UNetAutoencoder(width=2), 32, 14)
    with pytest.raises(ConfigError, match=r"halo=13 makes patches of 32 pixels 58 wide.*halo=12 or halo=14"):
        check_side(UNetAutoencoder(width=2), 32, 13)
    with pytest.raises(ConfigError, match="VAE does not take; the nearest that works: halo=0"):
        check_side(VAE(32, width=2), 32, 8)
