"""Drawings: radiographs and lung fields in, radiographs and the mask of the anomaly out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from pneumo_ad.errors import ConfigError

_SHRINKS = 1.25  # white noise loses a fifth of its deviation between the cells


class Drawn(NamedTuple):
    """Radiographs after a drawing.

    Attributes:
        x: (B, 1, H, W) float32 in [0, 1].
        mask: (B, 1, H, W) float32 of 0 and 1: what is to be found; all 0 of a distractor.
    """

    x: Tensor
    mask: Tensor


class Drawing(Protocol):
    """A family of drawings. It draws into every radiograph of a batch that has a lung field; others it leaves alone."""

    def __call__(self, x: Tensor, lung: Tensor, generator: torch.Generator) -> Drawn:
        """Draw.

        Args:
            x: (B, 1, H, W) float32 in [0, 1].
            lung: (B, 1, H, W) float32 of 0 and 1.
            generator: Source of every choice, on the device of x.
        """
        ...


class Brush:
    """Random numbers and shapes for the radiographs of one batch: what the families have in common.

    Lengths are shares of the side, so that a drawing looks alike at any image size.

    Args:
        x: (B, 1, H, W) the radiographs.
        lung: (B, 1, H, W) float of 0 and 1.
        generator: Source of every choice.
    """

    def __init__(self, x: Tensor, lung: Tensor, generator: torch.Generator) -> None:
        self.x, self.lung, self.generator = x, lung, generator
        self.count, self.size = len(x), (x.shape[-2], x.shape[-1])
        self.side = min(self.size)
        down, right = (torch.arange(side, device=x.device) / self.side for side in self.size)
        self.down, self.right = down[:, None], right

    def between(self, low: float, high: float) -> Tensor:
        """(B, 1, 1, 1) uniform in [low, high)."""
        return low + (high - low) * torch.rand((self.count, 1, 1, 1), generator=self.generator, device=self.x.device)

    def noise(self) -> Tensor:
        """(B, 1, H, W) white noise of deviation 1."""
        return torch.randn(self.x.shape, generator=self.generator, device=self.x.device)

    def smooth_noise(self, least: int, most: int) -> Tensor:
        """(B, 1, H, W) noise of mean 0 and deviation about 1 that changes over `least` to `most` cells a side."""
        cells = torch.randint(least, most + 1, (1,), generator=self.generator, device=self.x.device)
        coarse = torch.randn((self.count, 1, int(cells), int(cells)), generator=self.generator, device=self.x.device)
        down, right = (_SHRINKS**0.5 * _bicubic(int(cells), side, self.x) for side in self.size)
        return down @ coarse @ right.T

    def lung_pixel(self, count: int = 1) -> tuple[Tensor, Tensor]:
        """(B, count, 1, 1) down and right of random pixels of the lung field, as shares of the side."""
        coarse = F.max_pool2d(self.lung, 4).flatten(1)  # every fourth pixel is near enough
        empty = (coarse.sum(dim=1, keepdim=True) == 0).float()
        chosen = torch.multinomial(coarse + empty, count, replacement=True, generator=self.generator)
        columns = self.size[1] // 4
        down, right = chosen.div(columns, rounding_mode="floor"), chosen % columns
        shift = 4 * torch.rand((2, self.count, count), generator=self.generator, device=self.x.device)
        return tuple(
            ((4 * at + moved) / self.side)[:, :, None, None] for at, moved in zip((down, right), shift, strict=True)
        )

    def ellipse(self, least: float, most: float) -> Tensor:
        """(B, 1, H, W) in [0, 1]: a wavy, soft ellipse about a pixel of the lung, of mean radius `least` to `most`."""
        down, right = self.lung_pixel()
        radius, longer, tilt = self.between(least, most), self.between(1, 1.6), self.between(0, torch.pi)
        down, right = self.down - down, self.right - right
        along, off = tilt.cos() * right + tilt.sin() * down, tilt.cos() * down - tilt.sin() * right
        far = torch.hypot(along / longer, off * longer) / radius
        far = far + self.between(0.05, 0.3) * self.smooth_noise(5, 16)
        return torch.sigmoid((1 - far) / self.between(0.05, 0.3))

    def half_plane(self) -> Tensor:
        """(B, 1, H, W) in [0, 1]: one side of a wavy, soft line through the lung."""
        down, right = self.lung_pixel()
        angle = self.between(0, 2 * torch.pi)
        beyond = angle.cos() * (self.right - right) + angle.sin() * (self.down - down)
        beyond = beyond + self.between(0.01, 0.06) * self.smooth_noise(4, 12)
        return torch.sigmoid(beyond / self.between(0.01, 0.08))

    def clouds(self, least: int = 4, most: int = 12) -> Tensor:
        """(B, 1, H, W) in [0, 1]: smooth noise above a level, more of it towards the base of the lung.

        Args:
            least: Cells a side, at least.
            most: At most.
        """
        field = self.smooth_noise(least, most) + self.between(-1, 2) * (self.down - 0.5)
        return torch.sigmoid((field - self.between(0, 1.5)) / self.between(0.1, 0.5))

    def field(self) -> Tensor:
        """(B, 1, H, W) in [0, 1]: the lung field, widened by two pixels of 256 and soft."""
        wide = 2 * round(2 * self.side / 256) + 1
        widened = _joined(self.lung, wide, torch.maximum)
        return blurred(blurred(widened, wide), wide)

    def near(self, x: Tensor, share: float) -> Tensor:
        """(B, 1, H, W) mean over a square about each pixel.

        Args:
            x: (B, 1, H, W) values.
            share: Side of the square, made an odd number of pixels, at least 3.
        """
        return blurred(x, max(3, 2 * round(share * self.side / 2) + 1))

    def tissue(self, low: float, high: float) -> Tensor:
        """(B, 1, 1, 1) grey of tissue: a quantile, `low` to `high`, of what lies about the lungs."""
        few = (..., slice(None, None, 3), slice(None, None, 3))
        return quantile_outside(self.x[few], self.lung[few], self.between(low, high).flatten())

    def spread(self) -> Tensor:
        """(B, 1, 1, 1) standard deviation of the grey values in the lung; at least 0.02."""
        area = self.lung.sum(dim=(1, 2, 3), keepdim=True).clamp_min(1)
        mean = (self.x * self.lung).sum(dim=(1, 2, 3), keepdim=True) / area
        return (((self.x - mean) ** 2 * self.lung).sum(dim=(1, 2, 3), keepdim=True) / area).sqrt().clamp_min(0.02)

    def other(self) -> Tensor:
        """(B, 1, H, W) another radiograph of the batch for each, turned about and moved by up to a quarter."""
        moved = self.x.roll(1, dims=0)
        steps = torch.randint(-self.side // 4, self.side // 4 + 1, (2,), generator=self.generator, device=self.x.device)
        turned = torch.rand(1, generator=self.generator, device=self.x.device) < 0.5
        moved = moved.roll((int(steps[0]), int(steps[1])), dims=(2, 3))
        return moved.flip(-1) if bool(turned) else moved


def quantile_outside(x: Tensor, lung: Tensor, at: Tensor) -> Tensor:
    """(B, 1, 1, 1) quantile of the grey values outside the lung, of all where there are none: tissue, mostly.

    Args:
        x: (B, 1, H, W) radiographs.
        lung: (B, 1, H, W) float of 0 and 1.
        at: (B,) quantile of each, in [0, 1].
    """
    outside = lung < 0.5
    found = [
        torch.quantile(one[beyond] if beyond.any() else one, q) for one, beyond, q in zip(x, outside, at, strict=True)
    ]
    return torch.stack(found)[:, None, None, None]


def veiled(x: Tensor, share: Tensor, tissue: float | Tensor, near: Tensor) -> Tensor:
    """Lung some way to tissue: vessels lose contrast, and what is brighter than tissue is not lifted.

    Args:
        x: (B, 1, H, W) in [0, 1].
        share: (B, 1, H, W) of the way, in [0, 1].
        tissue: Grey value in [0, 1], or one per radiograph, (B, 1, 1, 1).
        near: (B, 1, H, W) mean of what is near each pixel, which replaces vessels.

    Returns:
        (B, 1, H, W); where the share is 0 the same values, but for rounding.
    """
    # Vessels lose contrast to their surroundings faster than the lung brightens.
    dull = x + (1.2 * share).clamp_max(0.85) * 0.6 * (near - x)
    return dull + share * (tissue - dull).clamp_min(0)


def blurred(x: Tensor, side: int) -> Tensor:
    """(B, 1, H, W) mean over `side` x `side` pixels, an odd number; borders are repeated."""
    return _joined(x, side, torch.add) / side**2


def _joined(x: Tensor, side: int, join: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Reduce each pixel's neighbourhood of `side` x `side`, joined by doubling: a tenth of the time of pooling."""
    x = F.pad(x, (side // 2,) * 4, mode="replicate")
    for dim in (2, 3):
        size, at, width = x.shape[dim] - side + 1, 1, 1
        joined = x.narrow(dim, 0, size)  # the first of the neighbours, for `side` is odd
        while at < side:  # x joins `width` neighbours each; those that `side` has in binary make it up
            x = join(x.narrow(dim, 0, x.shape[dim] - width), x.narrow(dim, width, x.shape[dim] - width))
            width *= 2
            if side & width:
                joined = join(joined, x.narrow(dim, at, size))
                at += width
        x = joined
    return x


def _bicubic(cells: int, side: int, like: Tensor) -> Tensor:
    """(side, cells) bicubic interpolation from corner to corner: a product with it takes a twentieth of the time."""
    return F.interpolate(
        torch.eye(cells, device=like.device)[None, None], (side, cells), mode="bicubic", align_corners=True
    )[0, 0]


def check_range(name: str, shares: Sequence[float]) -> None:
    """See that an option is a range of shares.

    Args:
        name: Name of the option.
        shares: Least and largest share, both in (0, 1].

    Raises:
        ConfigError: They are not two numbers in (0, 1], the smaller first.
    """
    if len(shares) != 2 or not 0 < shares[0] <= shares[1] <= 1:
        raise ConfigError(f"{name}={list(shares)} must be two numbers in (0, 1], the smaller first")
