"""Variance of a trained autoencoder's error, predicted by a small net on top of it (after Mao et al. 2020, MICCAI)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pneumo_ad.errors import ConfigError
from pneumo_ad.nets.output import Output
from pneumo_ad.nets.uncertainty_autoencoder import LEAST_LOG_VARIANCE


class VarianceHead(nn.Module):
    """Frozen autoencoder and a head that predicts a log-variance from its reconstruction; -> `Output` with both.

    The head sees the reconstruction alone: what the autoencoder did not copy cannot excuse its own error. The
    reconstruction is that of the autoencoder to the bit. The log-variance is bounded as in `UncertaintyAutoencoder`.

    Args:
        autoencoder: Trained net, (B, 1, p, p) in [0, 1] -> `Output`; frozen, and always in evaluation mode.
        width: Channels of the head's two hidden layers.

    Raises:
        ConfigError: A width below 1.

    >>> from pneumo_ad.nets import UNetAutoencoder
    >>> net = VarianceHead(UNetAutoencoder(width=4), width=4)
    >>> output = net(x := torch.rand(2, 1, 32, 32))
    >>> torch.equal(output.reconstruction, net.autoencoder(x).reconstruction), output.log_variance.shape
    (True, torch.Size([2, 1, 32, 32]))
    """

    def __init__(self, autoencoder: nn.Module, width: int = 16) -> None:
        super().__init__()
        if width < 1:
            raise ConfigError(f"width={width} must be at least 1")
        self.autoencoder = autoencoder.requires_grad_(False).eval()
        self.head = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, 1, 1),
        )

    def train(self, mode: bool = True) -> VarianceHead:
        """Set the mode; the autoencoder stays in evaluation mode."""
        super().train(mode)
        self.autoencoder.eval()
        return self

    def forward(self, x: Tensor) -> Output:
        """See the class."""
        output: Output = self.autoencoder(x)
        spread = torch.sigmoid(self.head(output.reconstruction).float())
        return Output(output.reconstruction, log_variance=LEAST_LOG_VARIANCE * spread)
