"""Veils: regions of the lung lightened towards the grey of tissue, from barely visible to a white lung."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pneumo_ad.drawings.drawing import Brush, Drawn, check_range, veiled
from pneumo_ad.errors import ConfigError

_VISIBLE = 0.10  # interpolation weight from lung to tissue above which a pixel belongs to the mask
_SHAPES: tuple[Callable[[Brush], Tensor], ...] = (
    lambda brush: brush.ellipse(0.04, 0.3),
    Brush.clouds,
    Brush.half_plane,
    lambda brush: (0.7 + 0.3 * brush.smooth_noise(3, 6)).clamp(0, 1) * brush.clouds(2, 3),
)


class Veils:
    """One to `most` veils of four shapes: an ellipse, clouds, one side of a line, or haze over all.

    Under a veil vessels lose contrast, and texture of another radiograph and fine noise are added.

    Args:
        most: Largest number of veils in a radiograph.
        strength: Least and largest interpolation weight from lung to tissue, in (0, 1]; weak veils are more frequent.

    Raises:
        ConfigError: `most` below 1, or strengths that are not two numbers in (0, 1], the smaller first.
    """

    def __init__(self, most: int = 3, strength: tuple[float, float] = (0.08, 0.93)) -> None:
        check_range("strength", strength)
        if most < 1:
            raise ConfigError(f"most={most} must be at least 1")
        self.most = most
        self.strength = strength

    def __call__(self, x: Tensor, lung: Tensor, generator: torch.Generator) -> Drawn:
        """See `Drawing`."""
        brush = Brush(x, lung, generator)
        field, tissue = brush.field(), brush.tissue(0.35, 0.9)
        count = brush.between(1, self.most + 1).floor()
        share = torch.zeros_like(x)
        low, high = self.strength
        for number in range(self.most):
            strength = low + (high - low) * brush.between(0, 1) ** 1.5
            share = torch.maximum(share, (number < count) * strength * _shapes(x, lung, generator) * field)
        share = (share * (1 + 0.2 * brush.smooth_noise(16, 32))).clamp(0, 0.97)
        texture = brush.other()
        texture = texture - brush.near(texture, 0.06)
        dense = veiled(x, share, tissue, brush.near(x, 0.03))
        dense = dense + share * (brush.between(0, 0.5) * texture + brush.between(0, 0.03) * brush.noise())
        return Drawn(torch.where(share > 0.004, dense, x).clamp(0, 1), ((share > _VISIBLE) & (lung > 0.5)).float())


def _shapes(x: Tensor, lung: Tensor, generator: torch.Generator) -> Tensor:
    """Draw a veil of a random shape for each radiograph, (B, 1, H, W) in [0, 1]."""
    which = torch.randint(len(_SHAPES), (len(x),), generator=generator, device=x.device)
    veils = torch.zeros_like(x)
    for number, shape in enumerate(_SHAPES):
        chosen = which == number
        if chosen.any():
            veils[chosen] = shape(Brush(x[chosen], lung[chosen], generator))
    return veils
