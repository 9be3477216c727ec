"""Loss of a net that predicts its own variance, AE-U (Mao et al. 2020, MICCAI; Kendall & Gal 2017, NeurIPS)."""

from torch import Tensor, nn

from pneumo_ad.nets.output import Output


def uncertainty_loss(x: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Compute (x - mean)^2 / s^2 + ln s^2 per pixel: twice a Gaussian's negative log-likelihood, less a constant.

    Its minimum lies at mean = x; for a given residual, at s^2 = residual^2. It is negative for small s^2 and has no
    lower bound: the net must bound ln s^2.

    Args:
        x: (B, 1, p, p) target in [0, 1].
        mean: (B, 1, p, p) predicted mean in [0, 1].
        log_variance: (B, 1, p, p) predicted ln s^2.

    Returns:
        (B, 1, p, p) loss per pixel.

    >>> import torch
    >>> uncertainty_loss(torch.tensor(0.5), torch.tensor(0.3), torch.tensor(0.04).log()).item()  # 1 + ln 0.04
    -2.2188758850097656
    """
    return (x - mean).square() * (-log_variance).exp() + log_variance


class UncertaintyLoss(nn.Module):
    """Mean of `uncertainty_loss` over pixels and batch, for nets that predict a log-variance."""

    def forward(self, x: Tensor, output: Output) -> Tensor:
        """Compute the loss, a scalar of either sign.

        Raises:
            ConfigError: Net that predicts no log-variance.
        """
        log_variance = output.needed("log_variance", by="loss=uncertainty")
        return uncertainty_loss(x, output.reconstruction, log_variance).mean()
