"""Effusions: fluid that fills a lung field from its base up to complete opacification."""

from __future__ import annotations

import torch
from torch import Tensor

from pneumo_ad.drawings.drawing import Brush, Drawn, check_range


class Effusions:
    """Fluid of the grey value of tissue from the base of one lung to a level that rises laterally (meniscus sign).

    Args:
        height: Least and largest share of the lung's height that is filled, in (0, 1]; 1 is a white lung.

    Raises:
        ConfigError: Heights that are not two numbers in (0, 1], the smaller first.
    """

    def __init__(self, height: tuple[float, float] = (0.1, 1.0)) -> None:
        check_range("height", height)
        self.height = height

    def __call__(self, x: Tensor, lung: Tensor, generator: torch.Generator) -> Drawn:
        """See `Drawing`."""
        brush = Brush(x, lung, generator)
        rows, columns = lung.amax(dim=3, keepdim=True), lung.amax(dim=2, keepdim=True)
        top, bottom = _ends(rows, brush.down[None, None])
        left, right = _ends(columns, brush.right[None, None, None])
        middle = (left + right) / 2
        side = torch.where(brush.between(0, 1) < 0.5, -1.0, 1.0)
        beside = (side * (brush.right - middle) / ((right - left) / 2).clamp_min(1e-3)).clamp(-1, 1)  # 1 at the wall
        low, high = self.height
        filled = low + (high - low) * brush.between(0, 1) ** 1.5
        level = bottom - filled * (bottom - top) * (1 + brush.between(0, 0.5) * (beside - 0.5))
        level = level + 0.01 * brush.smooth_noise(4, 10)
        fluid = torch.sigmoid((brush.down - level) / brush.between(0.008, 0.05)) * (beside > 0)
        share = brush.between(0.6, 1) * fluid * brush.field()
        plain = brush.near(x, 0.04)
        dense = x + share * (plain - x)
        dense = dense + share * (brush.tissue(0.5, 0.95) - dense).clamp_min(0) + share * 0.015 * brush.noise()
        return Drawn(torch.where(share > 0.004, dense, x).clamp(0, 1), ((share > 0.3) & (lung > 0.5)).float())


def _ends(shown: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
    """First and last position where a projection of 0 and 1 is 1, (B, 1, 1, 1) each; 0 and 1 where none is."""
    there = shown > 0
    none = ~there.flatten(1).any(dim=1)[:, None, None, None]
    first = torch.where(there, place, 2.0).amin(dim=(2, 3), keepdim=True)
    last = torch.where(there, place, -1.0).amax(dim=(2, 3), keepdim=True)
    return torch.where(none, 0.0, first), torch.where(none, 1.0, last)
