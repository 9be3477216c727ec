"""Consolidations: regions of the lung as dense as tissue, with vessels obscured and air-filled bronchi dark."""

from __future__ import annotations

import torch
from torch import Tensor

from pneumo_ad.drawings.drawing import Brush, Drawn, check_range


class Consolidations:
    """One dense region: an ellipse, clouds, or one side of a line (a lobe); half of them with air bronchograms.

    Args:
        strength: Least and largest interpolation weight from lung to tissue, in (0, 1].

    Raises:
        ConfigError: Strengths that are not two numbers in (0, 1], the smaller first.
    """

    def __init__(self, strength: tuple[float, float] = (0.5, 1.0)) -> None:
        check_range("strength", strength)
        self.strength = strength

    def __call__(self, x: Tensor, lung: Tensor, generator: torch.Generator) -> Drawn:
        """See `Drawing`."""
        brush = Brush(x, lung, generator)
        which = brush.between(0, 3)
        region = torch.where(
            which < 1, brush.ellipse(0.06, 0.25), torch.where(which < 2, brush.half_plane(), brush.clouds())
        )
        share = brush.between(*self.strength) * region * brush.field()
        # Bronchi: dark ridges of smooth noise, sparser than the lines of interstitial disease, in half of the regions.
        airy = (brush.between(0, 1) < 0.5) * brush.between(0.2, 0.7)
        bronchi = (-((brush.smooth_noise(8, 24) / 0.15) ** 2)).exp()
        share = share * (1 - airy * bronchi) * (1 + 0.1 * brush.smooth_noise(12, 32))
        share = share.clamp(0, 1)
        near = brush.near(x, 0.03)
        dense = x + share * (near - x)  # vessels fade as the lung brightens
        dense = dense + share * (brush.tissue(0.4, 0.95) - dense).clamp_min(0)
        dense = dense + share * brush.between(0, 0.03) * brush.noise()
        return Drawn(torch.where(share > 0.004, dense, x).clamp(0, 1), ((region > 0.3) & (lung > 0.5)).float())
