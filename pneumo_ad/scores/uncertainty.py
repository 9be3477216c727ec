"""Residual over predicted variance, AE-U (Mao et al. 2020, MICCAI)."""

from torch import Tensor

from pneumo_ad.nets.output import Output
from pneumo_ad.scores.score import Score


class UncertaintyScore(Score):
    """Mean of (x - mean)^2 / s^2 per pixel, dimensionless; 1 where the residual is as large as predicted.

    The score of AE-U, the first term of its loss. Residuals at edges and vessels, where they are usually large, weigh
    less than equal residuals in smooth lung.

    >>> import torch
    >>> x = torch.zeros(1, 1, 4, 4)
    >>> round(UncertaintyScore().score(x, Output(x + 0.1, log_variance=(x + 0.01).log())).item(), 4)
    1.0
    """

    unit = "share of the predicted variance"

    def residual_map(self, x: Tensor, output: Output) -> Tensor:
        """Compute the squared difference over the predicted variance, (B, 1, p, p).

        Raises:
            ConfigError: Net that predicts no log-variance.
        """
        log_variance = output.needed("log_variance", by="score=uncertainty")
        return (x - output.reconstruction).square() * (-log_variance).exp()
