"""Brightness in excess of the reconstruction, in predicted standard deviations."""

from torch import Tensor

from pneumo_ad.nets.output import Output
from pneumo_ad.scores.score import Score


class Excess(Score):
    """Mean of max(x - mean, 0) / s per pixel, in predicted standard deviations s; higher is more anomalous.

    The one-sided form of `UncertaintyScore`: an opacity is brighter than the lung that it hides, and never darker.

    >>> import torch
    >>> x = torch.zeros(1, 1, 4, 4)
    >>> [round(Excess().score(x, Output(x + off, log_variance=(x + 0.01).log())).item(), 4) for off in (-0.2, 0.2)]
    [2.0, 0.0]
    """

    unit = "predicted standard deviations"
    orders_outside = False  # of net=normal_lung, regions outside score as low as healthy lung

    def residual_map(self, x: Tensor, output: Output) -> Tensor:
        """Compute the excess over the predicted standard deviation, (B, 1, p, p).

        Raises:
            ConfigError: Net that predicts no log-variance.
        """
        log_variance = output.needed("log_variance", by="score=excess")
        return (x - output.reconstruction).clamp_min(0) * (-log_variance / 2).exp()
