"""Synthetic opacities, which the net learns to remove.

Foreign Patch Interpolation (Tan et al. 2020) and CutPaste (Li et al. 2021, CVPR) paste pieces of other images as
synthetic anomalies; here they resemble opacities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pneumo_ad.drawings.drawing import check_range, veiled
from pneumo_ad.errors import ConfigError

_NEAR = 7  # pixels, side of the box whose mean replaces vessels under an opacity
_WAVES = 5  # values across a patch from which the wavy border of an opacity is interpolated


@dataclass
class DrawnOpacity:
    """Soft, bright blob drawn into some of the patches, after `add_opacity` of the phantoms.

    The blob is an ellipse with a wavy, soft border, anywhere in the patch. Under it the lung moves towards the grey of
    tissue, and vessels towards the local mean; pixels brighter than tissue are not brightened. Lesions that fill a
    whole patch are not drawn, as they are indistinguishable from a bright lung.

    Args:
        size: Least and largest mean radius, as shares of the patch's shorter side.
        strength: Least and largest interpolation weight from lung to tissue, in (0, 1].
        tissue: Grey value of tissue in (0, 1].
        p: Share of the patches that get a blob, in (0, 1]; the others teach the net to leave healthy lung unchanged.

    Raises:
        ConfigError: Value out of its range, or a range that is not two numbers, the smaller first.

    >>> opacity = DrawnOpacity(p=1.0)
    >>> x = torch.full((2, 1, 32, 32), 0.3)
    >>> bool((opacity(x, torch.Generator().manual_seed(0)) >= x).all())
    True
    """

    size: Sequence[float] = (0.15, 0.45)
    strength: Sequence[float] = (0.25, 0.9)
    tissue: float = 0.6
    p: float = 0.7

    def __post_init__(self) -> None:
        check_range("size", self.size)
        check_range("strength", self.strength)
        if not (0 < self.tissue <= 1 and 0 < self.p <= 1):
            raise ConfigError(f"tissue={self.tissue} and p={self.p} must lie in (0, 1]")

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Draw opacities: (B, 1, p, p) in [0, 1] -> the same shape and range; unchanged outside the opacities."""
        return self.veil(x.float(), self.draw(x, generator), self.tissue).to(x.dtype)

    def veil(self, clean: Tensor, share: Tensor, tissue: float | Tensor) -> Tensor:
        """Interpolate from lung towards tissue.

        Args:
            clean: (B, 1, p, p) patches in [0, 1].
            share: (B, 1, p, p) interpolation weights in [0, 1].
            tissue: Grey value in [0, 1], or one per patch, (B, 1, 1, 1).

        Returns:
            (B, 1, p, p) patches; unchanged where the weight is 0.
        """
        near = nn.functional.avg_pool2d(clean, _NEAR, stride=1, padding=_NEAR // 2, count_include_pad=False)
        return torch.where(share > 0, veiled(clean, share, tissue, near), clean)

    def draw(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Draw interpolation weights from lung to tissue, (B, 1, p, p) float32 in [0, 1), mostly 0.

        Args:
            x: (B, 1, p, p) patches; only shape and device are used.
            generator: Random generator on the device of `x`.
        """
        height, width = x.shape[-2:]
        drawn = torch.rand((8, len(x), 1, 1, 1), generator=generator, device=x.device)
        waves = torch.randn((len(x), 1, _WAVES, _WAVES), generator=generator, device=x.device)
        radius = _between(drawn[0], *self.size) * min(height, width)
        strength = _between(drawn[1], *self.strength) * (drawn[2] < self.p)
        # Offsets from the centre of the blob, rotated, over its radii; the ellipse has the area of the circle.
        right = torch.arange(width, device=x.device) - drawn[3] * (width - 1)
        down = torch.arange(height, device=x.device)[:, None] - drawn[4] * (height - 1)
        tilt, longer = _between(drawn[5], 0, torch.pi), _between(drawn[6], 1, 1.4)
        along, off = tilt.cos() * right + tilt.sin() * down, tilt.cos() * down - tilt.sin() * right
        far = torch.hypot(along / longer, off * longer) / radius
        far = far + 0.15 * nn.functional.interpolate(waves, (height, width), mode="bicubic", align_corners=True)
        edge = torch.sigmoid((1 - far) / _between(drawn[7], 0.08, 0.2))
        return strength * ((edge - 0.05) / 0.95).clamp_min(0)  # exactly 0 beyond the border


def _between(uniform: Tensor, low: float, high: float) -> Tensor:
    """Map [0, 1) to [low, high)."""
    return low + uniform * (high - low)
