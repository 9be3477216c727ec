"""Swells: a region of the lung brightened smoothly, its texture unchanged (Baugh et al. 2023)."""

from __future__ import annotations

import torch
from torch import Tensor

from pneumo_ad.drawings.drawing import Brush, Drawn


class Swells:
    """A soft-edged ellipse, brightened by 0.5 to 2.5 standard deviations of the lung's grey values."""

    def __call__(self, x: Tensor, lung: Tensor, generator: torch.Generator) -> Drawn:
        """See `Drawing`."""
        brush = Brush(x, lung, generator)
        raised = brush.ellipse(0.05, 0.25) * brush.field()
        amount = brush.between(0.5, 2.5) * brush.spread()
        return Drawn((x + amount * raised).clamp(0, 1), ((raised > 0.3) & (lung > 0.5)).float())
