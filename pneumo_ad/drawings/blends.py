"""Blends: pieces of another radiograph inserted by Poisson image editing (Perez et al. 2003)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pneumo_ad.drawings.drawing import Brush, Drawn


class Blends:
    """A rectangle of another radiograph of the batch, blended without a step at its border (Schluter et al. 2022).

    The mask holds pixels that became brighter by more than about a third of the lung's standard deviation.
    """

    def __call__(self, x: Tensor, lung: Tensor, generator: torch.Generator) -> Drawn:
        """See `Drawing`."""
        brush = Brush(x, lung, generator)
        other = brush.other()
        height, width = (int(side * float(brush.between(0.12, 0.45)[0])) for side in brush.size)
        down, right = brush.lung_pixel()
        top = (down * brush.side - height / 2).round().clamp(1, brush.size[0] - height - 1).long()
        left = (right * brush.side - width / 2).round().clamp(1, brush.size[1] - width - 1).long()
        rows = top[:, 0] + torch.arange(-1, height + 1, device=x.device)[:, None]
        columns = left[:, 0] + torch.arange(-1, width + 1, device=x.device)
        which = torch.arange(len(x), device=x.device)[:, None, None]
        here, there = x[which, 0, rows, columns], other[which, 0, rows, columns]
        blended = x.clone()
        piece = there + membrane(here - there)
        lungs = brush.field()[which, 0, rows, columns]
        blended[which, 0, rows, columns] = torch.lerp(here, piece.clamp(0, 1), lungs)
        brighter = brush.near(blended - x, 0.02) > 0.35 * brush.spread()
        return Drawn(blended, (brighter & (lung > 0.5)).float())


def membrane(border: Tensor) -> Tensor:
    """Solve Laplace's equation inside a rectangle with given border values: the smoothest interpolation of the border.

    Solved exactly by the sine transform of the five-point Laplacian.

    Args:
        border: (B, H, W) floats; only the outermost pixels are read.

    Returns:
        (B, H, W) solution; its outermost pixels are those of `border`.
    """
    around = border.clone()
    around[:, 1:-1, 1:-1] = 0
    pull = around[:, :-2, 1:-1] + around[:, 2:, 1:-1] + around[:, 1:-1, :-2] + around[:, 1:-1, 2:]
    sines = [_sines(side, border) for side in pull.shape[1:]]
    eigen = [
        2 - 2 * torch.cos(math.pi * torch.arange(1, side + 1, device=border.device) / (side + 1))
        for side in pull.shape[1:]
    ]
    inside = sines[0] @ pull @ sines[1]
    inside = sines[0] @ (inside / (eigen[0][:, None] + eigen[1])) @ sines[1]
    around[:, 1:-1, 1:-1] = inside
    return around


def _sines(side: int, like: Tensor) -> Tensor:
    """Matrix of the sine transform, (side, side), which is its own inverse."""
    number = torch.arange(1, side + 1, device=like.device, dtype=like.dtype)
    return math.sqrt(2 / (side + 1)) * torch.sin(math.pi / (side + 1) * number[:, None] * number)
