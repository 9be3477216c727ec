"""Deformations: structures of the lung contracted around a point (Baugh et al. 2023)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from pneumo_ad.drawings.drawing import Brush, Drawn


class Deformations:
    """A region of the lung contracted towards its centre: vessels crowd, and surrounding tissue moves inwards."""

    def __call__(self, x: Tensor, lung: Tensor, generator: torch.Generator) -> Drawn:
        """See `Drawing`."""
        brush = Brush(x, lung, generator)
        down, right = brush.lung_pixel()
        radius, pull = brush.between(0.1, 0.25), brush.between(0.4, 0.8)
        far = torch.hypot(brush.down - down, brush.right - right) / radius
        pulled = pull * (1 - far.clamp(0, 1)) ** 2 * (lung.flatten(1).amax(dim=1)[:, None, None, None] > 0)
        from_down = brush.down + pulled * (brush.down - down) * 2
        from_right = brush.right + pulled * (brush.right - right) * 2
        height, width = (side / brush.side for side in brush.size)
        grid = torch.stack([2 * from_right / width - 1, 2 * from_down / height - 1], dim=-1)[:, 0]
        moved = F.grid_sample(x, grid + 1 / brush.side, mode="bilinear", padding_mode="border", align_corners=False)
        drawn = torch.where(pulled > 0, moved, x)
        return Drawn(drawn.clamp(0, 1), ((pulled > 0.1) & (lung > 0.5)).float())
