"""Pastes: regions of another radiograph blended into the lung (Tan et al. 2020; Li et al. 2021, CVPR)."""

from __future__ import annotations

import torch
from torch import Tensor

from pneumo_ad.drawings.drawing import Brush, Drawn


class Pastes:
    """Brighter pixels of another radiograph of the batch, blended into the lung within a wavy region."""

    def __call__(self, x: Tensor, lung: Tensor, generator: torch.Generator) -> Drawn:
        """See `Drawing`."""
        brush = Brush(x, lung, generator)
        cloudy = brush.between(0, 1) < 0.3
        region = torch.where(cloudy, brush.clouds(3, 8), brush.ellipse(0.04, 0.25)) * brush.field()
        brighter = (brush.other() - x).clamp_min(0) * region * brush.between(0.3, 1)
        seen = brush.near(brighter, 0.02) > 0.35 * brush.spread()
        return Drawn((x + brighter).clamp(0, 1), (seen & (region > 0.3) & (lung > 0.5)).float())
