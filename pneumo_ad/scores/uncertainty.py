"""Residual in units of what the net expected of itself, AE-U (Mao et al. 2020, MICCAI)."""

from torch import Tensor

from pneumo_ad.nets.output import Output
from pneumo_ad.scores.score import Score


class UncertaintyScore(Score):
    """Mean of (x - mean)^2 / s^2 per pixel, a pure number; 1 where the net errs as much as it predicted.

    The paper's score: squared, so as to be the first term of its loss. Edges and vessels, where residuals are large
    as a rule, count for less than the same residual in smooth lung.

    >>> import torch
    >>> x = torch.zeros(1, 1, 4, 4)
    >>> round(UncertaintyScore().score(x, Output(x + 0.1, log_variance=(x + 0.01).log())).item(), 4)
    1.0
    """

    unit = "share of the predicted variance"

    def residual_map(self, x: Tensor, output: Output) -> Tensor:
        """(B, 1, p, p) squared difference over predicted variance.

        Raises:
            ConfigError: The net gives no log-variance.
        """
        log_variance = output.needed("log_variance", by="score=uncertainty")
        return (x - output.reconstruction).square() * (-log_variance).exp()
