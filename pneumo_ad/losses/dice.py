"""Dice loss on grey values (the paper's equation 3), in two forms."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from pneumo_ad.errors import ConfigError
from pneumo_ad.nets.output import Output

DiceForm = Literal["squared", "linear"]


def dice_loss(x: Tensor, y: Tensor, form: DiceForm = "squared", smooth: float = 1.0) -> Tensor:
    """Compute -ln((2 sum(xy) + s) / (sum(x^2) + sum(y^2) + s)) per patch; `linear` has sum(x) + sum(y) below.

    The squared form has its only optimum, 0, at y = x (2xy <= x^2 + y^2). The linear form is equation 3 as printed; on
    grey values its optimum is not y = x, but drives every y to 0 or 1. The smoothing term keeps the loss of black
    patches finite and does not move the optimum.

    Args:
        x: (B, 1, p, p) target in [0, 1].
        y: (B, 1, p, p) reconstruction in [0, 1].
        form: `squared` or `linear`.
        smooth: Smoothing term s, in units of the sums (pixels of full brightness).

    Returns:
        (B,) loss per patch, finite; squared: 0 or more.

    >>> import torch
    >>> x = torch.rand(2, 1, 8, 8)
    >>> dice_loss(x, x).abs().max().item() < 1e-6
    True
    """
    axes = (1, 2, 3)
    overlap = 2 * (x * y).sum(axes)
    size = (x.square() + y.square()).sum(axes) if form == "squared" else (x + y).sum(axes)
    return ((size + smooth) / (overlap + smooth)).log()


class DiceLoss(nn.Module):
    """Mean of `dice_loss` of target and reconstruction over the batch.

    Args:
        form: `squared` (default) or `linear`.
        smooth: See `dice_loss`.

    Raises:
        ConfigError: Unknown form, or a smoothing term that is not positive.
    """

    def __init__(self, form: DiceForm = "squared", smooth: float = 1.0) -> None:
        super().__init__()
        if form not in ("squared", "linear"):
            raise ConfigError(f"form={form!r} is not known; expected 'squared' or 'linear'")
        if smooth <= 0:
            raise ConfigError(f"smooth={smooth} must be positive: without it a black patch has no finite loss")
        self.form: DiceForm = form
        self.smooth = smooth

    def forward(self, x: Tensor, output: Output) -> Tensor:
        """Compute the loss, a scalar."""
        return dice_loss(x, output.reconstruction, self.form, self.smooth).mean()
