"""Receptive field of a net, measured by the spread of NaN from input to output; nets declare nothing."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import nn

from pneumo_ad.errors import ConfigError
from pneumo_ad.nets.output import Output

_MOST_STEP = 32  # largest pooling factor that is measured
_FARTHEST = 512  # pixels; larger receptive fields count as the whole picture


class ReceptiveField(NamedTuple):
    """Receptive field of a net beyond a pixel, and the pooling factor.

    Attributes:
        pixels: Number of output pixels, counted from a border of the input at a multiple of `step`, that depend on
            input beyond that border.
        step: Smallest shift of the input in pixels by which the output shifts equally: 2 ** depth.
    """

    pixels: int
    step: int

    def halo(self, patch: int) -> int:
        """Return the least halo with which the net's output on a patch equals that on the whole radiograph.

        >>> ReceptiveField(pixels=11, step=4).halo(patch=32)
        12
        """
        wanted = range(self.pixels, self.pixels + self.step)
        return next((halo for halo in wanted if (patch + 2 * halo) % self.step == 0), self.pixels)


_KNOWN: WeakKeyDictionary[nn.Module, dict[int, ReceptiveField]] = WeakKeyDictionary()


def receptive_field(net: nn.Module, side: int) -> ReceptiveField:
    """Measure the receptive field of a net that can run over pictures of any size; cached per net.

    Args:
        net: (B, 1, H, W) in [0, 1] -> `Output`; not changed.
        side: Side in pixels of square pictures that the net takes.

    Raises:
        ConfigError: Net that takes a single size, sees the whole picture, or depends on absolute position.

    >>> from pneumo_ad.nets import UNetAutoencoder
    >>> receptive_field(UNetAutoencoder(width=4, depth=1), side=32)
    ReceptiveField(pixels=5, step=2)
    """
    known = _KNOWN.setdefault(net, {})
    if side not in known:
        known[side] = _measure(net, side)
    return known[side]


def takes(net: nn.Module, height: int, width: int) -> bool:
    """Check whether a net maps pictures of a size to pictures of that size.

    Args:
        net: Net on the CPU.
        height: Height in pixels.
        width: Width in pixels.
    """
    try:
        output: Output = net(torch.zeros(1, 1, height, width))
    except Exception:  # custom nets may raise anything for a size that they do not take
        return False
    return output.reconstruction.shape == (1, 1, height, width)


def check_side(net: nn.Module, patch: int, halo: int) -> None:
    """Check that a net takes patches with a halo.

    Args:
        net: (B, 1, h, w) -> `Output`; not changed.
        patch: Side of the patches in pixels.
        halo: Pixels of surroundings on every side.

    Raises:
        ConfigError: Size that the net does not take; the message names the nearest halos that work.
    """
    probe = _probe(net)
    with torch.inference_mode():
        if takes(probe, patch + 2 * halo, patch + 2 * halo):
            return
        near = sorted(range(halo + _MOST_STEP + 1), key=lambda other: abs(other - halo))
        working = [other for other in near if takes(probe, patch + 2 * other, patch + 2 * other)]
    below = [other for other in working if other < halo][:1]
    above = [other for other in working if other > halo][:1]
    words = " or ".join(f"halo={other}" for other in below + above) or "none"
    raise ConfigError(
        f"halo={halo} makes patches of {patch} pixels {patch + 2 * halo} wide, which {type(net).__name__} does not "
        f"take; the nearest that works: {words}"
    )


@contextmanager
def _plain_sums() -> Iterator[None]:
    """Disable libraries whose fast algorithms share sums between pixels and so spread NaN too far."""
    mkldnn: Any = torch.backends.mkldnn  # its own `flags` warns of Intel GPUs
    before, mkldnn.enabled = mkldnn.enabled, False
    try:
        with torch.backends.nnpack.flags(enabled=False):
            yield
    finally:
        mkldnn.enabled = before


def _probe(net: nn.Module) -> nn.Module:
    return copy.deepcopy(net).cpu().eval()


def _measure(net: nn.Module, side: int) -> ReceptiveField:
    probe = _probe(net)
    with torch.inference_mode(), _plain_sums():
        if not takes(probe, side, side):
            raise _cannot(net, f"does not take pictures of {side} x {side} pixels")
        least = next((more for more in range(1, _MOST_STEP + 1) if takes(probe, side + more, side)), None)
        if least is None:
            raise _cannot(net, f"takes pictures of {side} x {side} pixels and no larger ones")
        thin = next(width for width in (*range(least, side, least), side) if takes(probe, side, width))
        down, across = (_along(probe, side, least, thin, turned) for turned in (False, True))
        if down is None or across is None:
            raise _cannot(net, f"sees all of a picture, or more than {_FARTHEST} pixels around")
        reach = ReceptiveField(max(down.pixels, across.pixels), math.lcm(down.step, across.step, least))
        if not _shifts(probe, side, reach):
            raise _cannot(net, "answers by where in the picture something lies")
    return reach


def _cannot(net: nn.Module, why: str) -> ConfigError:
    return ConfigError(
        f"scoring=dense runs a net over whole images, and {type(net).__name__} {why}; scoring=windows scores with "
        "it, and scoring=dense with nets of convolutions, as net=unet and net=autoencoder"
    )


def _along(net: nn.Module, side: int, least: int, thin: int, turned: bool) -> ReceptiveField | None:
    """Measure along one axis which output rows a row of NaN reaches, at all offsets modulo the step."""
    rows = 3 * _MOST_STEP
    # Sizes that the net takes differ by `least`; longer pictures only if NaN reached the border of shorter ones.
    for longer in (128, 256, 2 * _FARTHEST + rows):
        length = side + -(-longer // least) * least
        middle = (length - rows) // 2
        pictures = torch.zeros(rows, 1, length, thin)
        pictures[torch.arange(rows), :, middle + torch.arange(rows)] = torch.nan
        output: Output = net(pictures.transpose(2, 3) if turned else pictures)
        pixels = (part.transpose(2, 3) if turned else part for part in output if part is not None and part.ndim == 4)
        seen = torch.stack([part.isnan().any(dim=1).any(dim=2) for part in pixels]).any(dim=0)  # (rows, length)
        if seen[:, 0].any() or seen[:, -1].any():
            continue
        place = torch.arange(middle, middle + rows)
        somewhere = seen.any(dim=1)
        first = torch.where(somewhere, seen.int().argmax(dim=1), place)
        last = torch.where(somewhere, length - 1 - seen.flip(1).int().argmax(dim=1), place)
        far = torch.stack([place - first, last - place])
        period = next((step for step in range(1, _MOST_STEP + 1) if far[:, step:].equal(far[:, :-step])), None)
        if period is None:
            return None
        border = -(-middle // period) * period + period
        beyond = last[place < border].max() + 1 - border, border - first[place >= border].min()
        return ReceptiveField(int(max(*beyond, torch.tensor(0))), period)
    return None


def _shifts(net: nn.Module, side: int, reach: ReceptiveField) -> bool:
    """Check that a shift of the input by the step shifts the output equally, away from the border."""
    more = -(-2 * reach.pixels // reach.step) * reach.step
    length = side + more
    picture = torch.rand(1, 1, length + reach.step, length + reach.step, generator=torch.Generator().manual_seed(0))
    first: Output = net(picture[..., :length, :length])
    second: Output = net(picture[..., reach.step :, reach.step :])
    here = slice(reach.pixels + reach.step, length - reach.pixels)
    there = slice(reach.pixels, length - reach.pixels - reach.step)
    return torch.allclose(first.reconstruction[..., here, here], second.reconstruction[..., there, there], atol=1e-4)
