"""Distractors: variation that normal radiographs show too, not to be detected; all masks are empty."""

from __future__ import annotations

import torch
from torch import Tensor

from pneumo_ad.drawings.drawing import Brush, Drawn, blurred


class Haze:
    """A smooth veil over both lungs that lightens them towards tissue, as exposure, build and breathing do.

    Args:
        strength: Largest interpolation weight from lung to tissue, in [0, 1].
    """

    def __init__(self, strength: float = 0.35) -> None:
        self.strength = strength

    def __call__(self, x: Tensor, lung: Tensor, generator: torch.Generator) -> Drawn:
        """See `Drawing`."""
        brush = Brush(x, lung, generator)
        even = (0.8 + 0.2 * brush.smooth_noise(2, 4)).clamp(0, 1)
        share = brush.between(0, self.strength) * even * brush.field()
        return Drawn(x + share * (brush.tissue(0.35, 0.9) - x).clamp_min(0), torch.zeros_like(x))


class Shade:
    """Soft shades over the chest that extend beyond the lungs: breasts, and a lateral gradient of the gain."""

    def __call__(self, x: Tensor, lung: Tensor, generator: torch.Generator) -> Drawn:
        """See `Drawing`."""
        brush = Brush(x, lung, generator)
        low, apart, radius = brush.between(0.55, 0.85), brush.between(0.15, 0.3), brush.between(0.12, 0.25)
        middle = 0.5 * brush.size[1] / brush.side
        down = brush.down - low
        both = [torch.hypot(brush.right - middle - sign * apart, 0.8 * down) / radius for sign in (-1, 1)]
        breasts = sum(torch.sigmoid((1 - far) / 0.08) for far in both)
        gain = brush.between(-0.2, 0.2) * (brush.right - middle)
        shaded = x + brush.between(0, 0.15) * breasts + gain * x
        return Drawn(shaded.clamp(0, 1), torch.zeros_like(x))


class Devices:
    """Wires, electrodes and letters, brighter than their surroundings.

    Args:
        most: Largest number of each kind.
    """

    def __init__(self, most: int = 3) -> None:
        self.most = most

    def __call__(self, x: Tensor, lung: Tensor, generator: torch.Generator) -> Drawn:
        """See `Drawing`."""
        brush = Brush(x, lung, generator)
        canvas, pixel = torch.zeros_like(x), 1 / brush.side
        for number in range(self.most):
            there = brush.between(0, self.most) > number
            angle, width = brush.between(0, torch.pi), brush.between(0.6, 1.6) * pixel
            beyond = angle.cos() * (brush.right - brush.between(0, 1)) + angle.sin() * (
                brush.down - brush.between(0, 1)
            )
            wire = torch.sigmoid((width - (beyond + 0.03 * brush.smooth_noise(3, 6)).abs()) / (0.4 * pixel))
            far = torch.hypot(brush.down - brush.between(0.05, 0.95), brush.right - brush.between(0.05, 0.95))
            radius = brush.between(3, 7) * pixel
            disc = torch.sigmoid((radius - far) / (0.6 * pixel)) - 0.5 * torch.sigmoid((0.5 * radius - far) / pixel)
            tall, wide = brush.between(2, 7) * pixel, brush.between(1, 5) * pixel
            box = ((brush.down - brush.between(0.02, 0.98)).abs() < tall) & (
                (brush.right - brush.between(0.02, 0.98)).abs() < wide
            )
            shape = torch.where(brush.between(0, 1) < 0.5, wire, torch.maximum(disc, box.float()))
            canvas = torch.maximum(canvas, there * shape)
        bright = brush.between(0.1, 0.6)
        return Drawn((x + bright * canvas).clamp(0, 1), torch.zeros_like(x))


class Exposure:
    """Random gamma, offset, gain, blur, sharpening and noise, on anomalous and normal images alike: no shortcut."""

    def __call__(self, x: Tensor, lung: Tensor, generator: torch.Generator) -> Drawn:
        """See `Drawing`."""
        brush = Brush(x, lung, generator)
        x = x.clamp(0, 1) ** brush.between(-0.45, 0.45).exp()
        x = brush.between(-0.05, 0.15) + brush.between(0.7, 1.05) * x
        x = x * (1 + brush.between(0, 0.1) * brush.smooth_noise(2, 4))
        which = brush.between(0, 1)
        near, wide = blurred(x, 3), brush.near(x, 0.02)
        softer = (which < 0.4) * brush.between(0, 1)
        sharper = (which > 0.7) * brush.between(0, 1.2)
        much = (which < 0.06).float()
        x = x + softer * (torch.where(much > 0, wide, near) - x) - sharper * (near - x)
        return Drawn((x + brush.between(0, 0.025) * brush.noise()).clamp(0, 1), torch.zeros_like(x))
