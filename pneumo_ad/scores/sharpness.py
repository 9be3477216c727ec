"""Sharpness of the patch itself: what a reconstruction loses first, whatever the patch shows."""

from torch import Tensor
from torch.nn import functional as F

from pneumo_ad.nets.output import Output
from pneumo_ad.scores.sad import GREY_LEVELS
from pneumo_ad.scores.score import Score


class Sharpness(Score):
    """Mean absolute Laplacian of the input in grey levels; needs no net, higher counts as more anomalous.

    The Laplacian is that of the four neighbours; a pixel at the patch's border stands in for its missing neighbour.

    >>> import torch
    >>> x = torch.zeros(1, 1, 4, 4)
    >>> x[..., 1, 1] = 1  # 4 there, 1 at each of four neighbours: 8 over 16 pixels
    >>> Sharpness().score(x, Output(x)).item()
    127.5
    """

    unit = "grey levels"

    def residual_map(self, x: Tensor, output: Output) -> Tensor:
        """(B, 1, p, p) absolute Laplacian in grey levels."""
        wide = F.pad(x, (1, 1, 1, 1), mode="replicate")
        around = wide[..., :-2, 1:-1] + wide[..., 2:, 1:-1] + wide[..., 1:-1, :-2] + wide[..., 1:-1, 2:]
        return (around - 4 * x).abs() * GREY_LEVELS
