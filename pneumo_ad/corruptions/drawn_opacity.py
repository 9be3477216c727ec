"""Drawn opacities, which the net learns to remove.

Synthetic anomalies as in Foreign Patch Interpolation (Tan et al. 2020) and CutPaste (Li et al. 2021, CVPR), which paste
pieces of other images; here they look like what is sought.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pneumo_ad.drawings.drawing import check_range, veiled
from pneumo_ad.errors import ConfigError

_NEAR = 7  # pixels, the neighbourhood whose mean replaces vessels under an opacity
_WAVES = 5  # values across a patch from which an opacity's wavy border is interpolated


class DrawnOpacity:
    """Draws one soft, bright blob into some of the patches, by the recipe of the phantoms' `add_opacity`.

    An ellipse with a wavy, soft border, anywhere in the patch. Under it the lung moves towards the grey of tissue, and
    vessels towards the mean of what is near; what is brighter than tissue already is not lifted. Lesions that fill a
    whole patch are not drawn: nothing would tell them from a bright lung.

    Args:
        size: Least and largest mean radius, as shares of the patch's shorter side.
        strength: Least and largest share of the way from lung to tissue, in (0, 1].
        tissue: Grey value of tissue in (0, 1].
        p: Share of the patches that get one, in (0, 1]; the others teach the net to leave healthy lung alone.

    Raises:
        ConfigError: A value out of its range, or not two of them, the smaller first.

    >>> opacity = DrawnOpacity(p=1.0)
    >>> x = torch.full((2, 1, 32, 32), 0.3)
    >>> bool((opacity(x, torch.Generator().manual_seed(0)) >= x).all())
    True
    """

    def __init__(
        self,
        size: Sequence[float] = (0.15, 0.45),
        strength: Sequence[float] = (0.25, 0.9),
        tissue: float = 0.6,
        p: float = 0.7,
    ) -> None:
        check_range("size", size)
        check_range("strength", strength)
        if not (0 < tissue <= 1 and 0 < p <= 1):
            raise ConfigError(f"tissue={tissue} and p={p} must lie in (0, 1]")
        self.size = size
        self.strength = strength
        self.tissue = tissue
        self.p = p

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """(B, 1, p, p) in [0, 1] -> the same shape and range; the same values where no opacity lies."""
        return self.veil(x.float(), self.draw(x, generator), self.tissue).to(x.dtype)

    def veil(self, clean: Tensor, share: Tensor, tissue: float | Tensor) -> Tensor:
        """Move lung towards tissue.

        Args:
            clean: (B, 1, p, p) in [0, 1].
            share: (B, 1, p, p) of the way, in [0, 1].
            tissue: Grey value in [0, 1], or one per patch, (B, 1, 1, 1).

        Returns:
            (B, 1, p, p); the same values where the share is 0.
        """
        near = nn.functional.avg_pool2d(clean, _NEAR, stride=1, padding=_NEAR // 2, count_include_pad=False)
        return torch.where(share > 0, veiled(clean, share, tissue, near), clean)

    def draw(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Shares of the way to tissue for patches of the shape of x, (B, 1, p, p) float32 in [0, 1), mostly 0.

        Args:
            x: The patches; of it the shape counts.
            generator: Source of what is random, on any device.
        """
        height, width = x.shape[-2:]
        drawn = torch.rand((8, len(x), 1, 1, 1), generator=generator, device=x.device)
        waves = torch.randn((len(x), 1, _WAVES, _WAVES), generator=generator, device=x.device)
        radius = _between(drawn[0], *self.size) * min(height, width)
        strength = _between(drawn[1], *self.strength) * (drawn[2] < self.p)
        # Columns and rows from the blob's middle, turned, in units of its radii; the area is that of the circle.
        right = torch.arange(width, device=x.device) - drawn[3] * (width - 1)
        down = torch.arange(height, device=x.device)[:, None] - drawn[4] * (height - 1)
        tilt, longer = _between(drawn[5], 0, torch.pi), _between(drawn[6], 1, 1.4)
        along, off = tilt.cos() * right + tilt.sin() * down, tilt.cos() * down - tilt.sin() * right
        far = torch.hypot(along / longer, off * longer) / radius
        far = far + 0.15 * nn.functional.interpolate(waves, (height, width), mode="bicubic", align_corners=True)
        edge = torch.sigmoid((1 - far) / _between(drawn[7], 0.08, 0.2))
        return strength * ((edge - 0.05) / 0.95).clamp_min(0)  # a border where the blob ends


def _between(uniform: Tensor, low: float, high: float) -> Tensor:
    """[0, 1) -> [low, high)."""
    return low + uniform * (high - low)
