"""Masked centre, to be inpainted from its surroundings (context encoders, Pathak et al. 2016, CVPR)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from pneumo_ad.errors import ConfigError


class MaskCenter:
    """Mask of a centred square, filled with one grey value; the same square for all patches.

    The net cannot copy the square and must predict it from the lung around it. The authors fill a quarter of the image
    with its mean colour and predict only the square; here the loss covers the whole patch.

    Args:
        share: Side of the square as a share of the patch's shorter side, in (0, 1); at least one pixel is masked, and
            one at each border is kept.
        fill: `mean`, the mean of the unmasked pixels of each patch, or a grey value in [0, 1].

    Raises:
        ConfigError: Share or grey value out of its range.

    >>> MaskCenter(share=0.5, fill=0.0)(torch.ones(1, 1, 4, 4), torch.Generator())[0, 0]
    tensor([[1., 1., 1., 1.],
            [1., 0., 0., 1.],
            [1., 0., 0., 1.],
            [1., 1., 1., 1.]])
    """

    def __init__(self, share: float = 0.5, fill: float | Literal["mean"] = "mean") -> None:
        if not 0 < share < 1:
            raise ConfigError(f"share={share} must lie between 0 and 1: the square's side over the patch's")
        if fill != "mean" and (isinstance(fill, str) or not 0 <= fill <= 1):
            raise ConfigError(f"fill={fill!r} is not known; expected 'mean' or a grey value in [0, 1]")
        self.share = share
        self.fill = fill

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Mask the centre: (B, 1, p, p) in [0, 1] -> the same shape and range; the generator is not used."""
        height, width = x.shape[-2:]
        side = max(1, min(round(self.share * min(height, width)), min(height, width) - 2))
        top, left = (height - side) // 2, (width - side) // 2
        seen = torch.ones((height, width), dtype=torch.bool, device=x.device)
        seen[top : top + side, left : left + side] = False
        fill = x[..., seen].mean(dim=-1)[..., None, None] if self.fill == "mean" else x.new_tensor(self.fill)
        return torch.where(seen, x, fill)
