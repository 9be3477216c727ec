"""Lines: networks of fine lines in a region of the lung, as in interstitial disease and scars."""

from __future__ import annotations

import torch
from torch import Tensor

from pneumo_ad.drawings.drawing import Brush, Drawn
from pneumo_ad.errors import ConfigError


class Lines:
    """Ridges of smooth noise within a wavy region; the mask is the whole region.

    Args:
        amplitude: Least and largest brightness, in standard deviations of the lung's grey values.

    Raises:
        ConfigError: Amplitudes that are not two positive numbers, the smaller first.
    """

    def __init__(self, amplitude: tuple[float, float] = (0.3, 1.4)) -> None:
        if len(amplitude) != 2 or not 0 < amplitude[0] <= amplitude[1]:
            raise ConfigError(f"amplitude={list(amplitude)} must be two positive numbers, the smaller first")
        self.amplitude = amplitude

    def __call__(self, x: Tensor, lung: Tensor, generator: torch.Generator) -> Drawn:
        """See `Drawing`."""
        brush = Brush(x, lung, generator)
        cloudy = brush.between(0, 1) < 0.5
        region = torch.where(cloudy, brush.clouds(3, 8), brush.ellipse(0.06, 0.3)) * brush.field()
        width = brush.between(0.12, 0.4)
        ridges = (-((brush.smooth_noise(14, 60) / width) ** 2)).exp()
        amplitude = brush.between(*self.amplitude) * brush.spread()
        base = brush.between(0, 0.4)  # the lung between the lines is slightly denser too
        drawn = x + amplitude * region * (base + (1 - base) * ridges)
        return Drawn(drawn.clamp(0, 1), ((region > 0.4) & (lung > 0.5)).float())
