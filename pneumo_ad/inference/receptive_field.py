"""How far a net sees, found by putting NaN in and looking where it comes out: nothing needs to be declared."""

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

_MOST_STEP = 32  # a net whose poolings take more pixels together is not looked into
_FARTHEST = 512  # pixels; a net that sees more sees everything


class ReceptiveField(NamedTuple):
    """What it takes to run a net over more than a patch.

    Attributes:
        pixels: From a border of the input on, at a multiple of `step`: so many pixels of the output depend on what
            lies beyond the border, those further in do not.
        step: Smallest number of pixels by which the input may shift for the output to shift with it: 2 ** depth.
    """

    pixels: int
    step: int

    def halo(self, patch: int) -> int:
        """Least halo from which on the inner pixels of a patch are those of the whole radiograph.

        >>> ReceptiveField(pixels=11, step=4).halo(patch=32)
        12
        """
        wanted = range(self.pixels, self.pixels + self.step)
        return next((halo for halo in wanted if (patch + 2 * halo) % self.step == 0), self.pixels)


_KNOWN: WeakKeyDictionary[nn.Module, dict[int, ReceptiveField]] = WeakKeyDictionary()


def receptive_field(net: nn.Module, side: int) -> ReceptiveField:
    """Reach of a net that can run over pictures of any size; looked for once per net.

    Args:
        net: (B, 1, H, W) in [0, 1] -> `Output`; not changed.
        side: Side in pixels of square pictures that the net takes.

    Raises:
        ConfigError: It takes pictures of one size, sees all of a picture, or answers by where in the picture it is.

    >>> from pneumo_ad.nets import UNetAutoencoder
    >>> receptive_field(UNetAutoencoder(width=4, depth=1), side=32)
    ReceptiveField(pixels=5, step=2)
    """
    known = _KNOWN.setdefault(net, {})
    if side not in known:
        known[side] = _measure(net, side)
    return known[side]


def takes(net: nn.Module, height: int, width: int) -> bool:
    """Whether a net answers pictures of a size with pictures of that size.

    Args:
        net: On the CPU.
        height: In pixels.
        width: In pixels.
    """
    try:
        output: Output = net(torch.zeros(1, 1, height, width))
    except Exception:  # whatever a net of somebody else's raises for a size that it does not take
        return False
    return output.reconstruction.shape == (1, 1, height, width)


def check_side(net: nn.Module, patch: int, halo: int) -> None:
    """See that a net takes patches with a halo.

    Args:
        net: (B, 1, h, w) -> `Output`; not changed.
        patch: Side of the patches in pixels.
        halo: Pixels of surroundings on every side.

    Raises:
        ConfigError: It does not; names the nearest halos with which it does.
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
    """Without libraries whose fast algorithms share sums between pixels, and carry NaN where no weight does."""
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
    name = type(net).__name__
    probe = _probe(net)
    with torch.inference_mode(), _plain_sums():
        if not takes(probe, side, side):
            raise ConfigError(_cannot(name, f"does not take pictures of {side} x {side} pixels"))
        least = next((more for more in range(1, _MOST_STEP + 1) if takes(probe, side + more, side)), None)
        if least is None:
            raise ConfigError(_cannot(name, f"takes pictures of {side} x {side} pixels and no larger ones"))
        thin = next(width for width in (*range(least, side, least), side) if takes(probe, side, width))
        down, across = (_along(probe, side, least, thin, turned) for turned in (False, True))
        if down is None or across is None:
            raise ConfigError(_cannot(name, f"sees all of a picture, or more than {_FARTHEST} pixels around"))
        reach = ReceptiveField(max(down.pixels, across.pixels), math.lcm(down.step, across.step, least))
        if not _shifts(probe, side, reach):
            raise ConfigError(_cannot(name, "answers by where in the picture something lies"))
    return reach


def _cannot(name: str, why: str) -> str:
    return (
        f"scoring=dense runs a net over whole radiographs, and {name} {why}; scoring=windows scores with it, and "
        "scoring=dense with nets of convolutions, as net=unet and net=autoencoder"
    )


def _along(net: nn.Module, side: int, least: int, thin: int, turned: bool) -> ReceptiveField | None:
    """Reach along one side: which rows a row of NaN comes out at, for rows in all places of the poolings' windows."""
    rows = 3 * _MOST_STEP
    # Sizes that the net takes differ by `least`; longer pictures only where the NaN met the border of shorter ones.
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
    """Whether a picture that is shifted by the step comes out shifted, away from the border."""
    more = -(-2 * reach.pixels // reach.step) * reach.step
    length = side + more
    picture = torch.rand(1, 1, length + reach.step, length + reach.step, generator=torch.Generator().manual_seed(0))
    first: Output = net(picture[..., :length, :length])
    second: Output = net(picture[..., reach.step :, reach.step :])
    here = slice(reach.pixels + reach.step, length - reach.pixels)
    there = slice(reach.pixels, length - reach.pixels - reach.step)
    return torch.allclose(first.reconstruction[..., here, here], second.reconstruction[..., there, there], atol=1e-4)
