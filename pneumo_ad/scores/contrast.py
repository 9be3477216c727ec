"""Contrast of the patch itself: what a score finds for no better reason than that something is to be seen."""

from torch import Tensor

from pneumo_ad.nets.output import Output
from pneumo_ad.scores.sad import GREY_LEVELS
from pneumo_ad.scores.score import Score


class Contrast(Score):
    """Standard deviation of the input in grey levels; needs no net, higher counts as more anomalous.

    >>> import torch
    >>> x = torch.tensor([[0.0, 1.0], [1.0, 0.0]])[None, None]
    >>> Contrast().score(x, Output(x)).item()
    127.5
    """

    unit = "grey levels"

    def residual_map(self, x: Tensor, output: Output) -> Tensor:
        """(B, 1, p, p) squared deviation over the standard deviation, so that its mean is the standard deviation."""
        squared = (x - x.mean(dim=(1, 2, 3), keepdim=True)).square()
        deviation = squared.mean(dim=(1, 2, 3), keepdim=True).sqrt()
        return squared / deviation.clamp_min(1e-6) * GREY_LEVELS
