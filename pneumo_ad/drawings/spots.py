"""Spots: nodules and cavities, either few and large or many and small."""

from __future__ import annotations

import torch
from torch import Tensor

from pneumo_ad.drawings.drawing import Brush, Drawn, blurred
from pneumo_ad.errors import ConfigError


class Spots:
    """Round spots brighter than the lung, some of them rings.

    Half of the radiographs get one to three spots of a radius up to 8 pixels at a side of 256, the others 5 to `many`
    spots of up to 3.5 pixels.

    Args:
        many: Largest number of small spots in a radiograph, at least 5.
        amplitude: Least and largest brightness, in standard deviations of the lung's grey values.
        rings: Share of the radiographs whose spots are rings, in [0, 1].

    Raises:
        ConfigError: A value out of its range.
    """

    def __init__(self, many: int = 40, amplitude: tuple[float, float] = (0.4, 2.0), rings: float = 0.25) -> None:
        if many < 5 or not 0 < amplitude[0] <= amplitude[1] or not 0 <= rings <= 1:
            raise ConfigError(
                f"many={many} must be at least 5, amplitude={list(amplitude)} two positive numbers, the smaller first, "
                f"rings={rings} in [0, 1]"
            )
        self.many = many
        self.amplitude = amplitude
        self.rings = rings

    def __call__(self, x: Tensor, lung: Tensor, generator: torch.Generator) -> Drawn:
        """See `Drawing`."""
        brush = Brush(x, lung, generator)
        few = brush.between(0, 1) < 0.5
        count = torch.where(few, brush.between(1, 4), brush.between(5, self.many + 1)).floor()
        number = torch.arange(self.many, device=x.device)[None, :, None, None]
        size = torch.rand((brush.count, self.many, 1, 1), generator=generator, device=x.device)
        unit = brush.side / 256
        radius = torch.where(few, 3 + 5 * size, 1.2 + 2.3 * size) * unit
        ring = brush.between(0, 1) < self.rings
        spots = _stamped(brush, radius, ring, number < count) * brush.field()
        amplitude = brush.between(*self.amplitude) * brush.spread()
        drawn = (x + amplitude * spots * (1 + 0.15 * brush.smooth_noise(24, 48))).clamp(0, 1)
        return Drawn(drawn, ((blurred(spots, 3) > 0.3) & (lung > 0.5)).float())


def _stamped(brush: Brush, radius: Tensor, ring: Tensor, there: Tensor) -> Tensor:
    """Maximum over N spots at random centres in the lung fields, (B, 1, H, W) in [0, 1]; `there` selects the spots."""
    height, width = brush.size
    down, right = (at * brush.side for at in brush.lung_pixel(radius.shape[1]))
    reach = int(8 * brush.side / 256 * 1.8) + 2
    steps = torch.arange(-reach, reach + 1, device=radius.device)
    rows, columns = down.floor() + steps[:, None], right.floor() + steps  # (B, N, S, 1), (B, N, 1, S)
    far = torch.hypot(rows - down, columns - right)
    soft = (0.25 * radius).clamp_min(0.5)
    disc = torch.sigmoid((radius - far) / soft)
    rim = (-(((far - radius) / (1.4 * soft)) ** 2)).exp()
    profile = torch.where(ring, rim, disc) * there
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    place = (rows.clamp(0, height - 1) * width + columns.clamp(0, width - 1)).long()
    canvas = torch.zeros((brush.count, height * width), device=radius.device)
    canvas.scatter_reduce_(1, place.flatten(1), (profile * inside).flatten(1), "amax")
    return canvas.view(brush.count, 1, height, width)
