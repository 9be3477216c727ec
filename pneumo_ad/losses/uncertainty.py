"""Loss of a net that predicts its own variance, AE-U (Mao et al. 2020, MICCAI; Kendall & Gal 2017, NeurIPS)."""

from torch import Tensor, nn

from pneumo_ad.nets.output import Output


def uncertainty_loss(x: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """(x - mean)^2 / s^2 + ln s^2 per pixel: twice a Gaussian's negative log-likelihood, less a constant.

    Its least value lies at mean = x; for a given residual, at s^2 = residual^2. It is negative where the net is sure of
    itself, and has no bound below: bounding ln s^2 is the net's part.

    Args:
        x: (B, 1, p, p) target in [0, 1].
        mean: (B, 1, p, p) in [0, 1].
        log_variance: (B, 1, p, p) ln s^2.

    Returns:
        (B, 1, p, p).

    >>> import torch
    >>> uncertainty_loss(torch.tensor(0.5), torch.tensor(0.3), torch.tensor(0.04).log()).item()  # 1 + ln 0.04
    -2.2188758850097656
    """
    return (x - mean).square() * (-log_variance).exp() + log_variance


class UncertaintyLoss(nn.Module):
    """`uncertainty_loss` of target and `Output`, mean over pixels and batch; needs a net that gives a log-variance."""

    def forward(self, x: Tensor, output: Output) -> Tensor:
        """Scalar, of either sign.

        Raises:
            ConfigError: The net gives no log-variance.
        """
        log_variance = output.needed("log_variance", by="loss=uncertainty")
        return uncertainty_loss(x, output.reconstruction, log_variance).mean()
