"""Uncertainty prediction autoencoder, AE-U (Mao et al. 2020, MICCAI)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pneumo_ad.nets.codec import Decoder, Encoder
from pneumo_ad.nets.output import Output
from pneumo_ad.nets.unet import Norm

LEAST_LOG_VARIANCE = -11.0  # about ln(1 / 255 ** 2): a spread of one grey level


class UncertaintyAutoencoder(nn.Module):
    """Convolutional autoencoder that predicts a mean and a log-variance for each pixel.

    The log-variance lies between `LEAST_LOG_VARIANCE`, as grey levels are integers, and 0, as squared residuals
    are at most 1; without a lower bound, the paper's loss has no minimum on flat patches. Only loss=uncertainty trains
    the log-variance: other losses train the mean alone and give it no gradient.

    Args:
        width: Channels of the first level, doubled after each pooling.
        depth: Number of poolings; the sides must be divisible by 2 ** depth.
        convs: Convolutions per level.
        norm: `none` or `batch`.

    Raises:
        ConfigError: Number below 1 or unknown norm; in `forward`, a patch side that is not divisible by 2 ** depth.

    >>> output = UncertaintyAutoencoder(width=4)(torch.rand(2, 1, 32, 32))
    >>> output.reconstruction.shape == output.log_variance.shape == (2, 1, 32, 32)
    True
    """

    def __init__(self, width: int = 32, depth: int = 3, convs: int = 1, norm: Norm = "batch") -> None:
        super().__init__()
        self.encoder = Encoder(width, depth, convs, norm)
        self.decoder = Decoder(width, depth, convs, norm, pictures=2)

    def forward(self, x: Tensor) -> Output:
        """Reconstruct patches: (B, 1, p, p) in [0, 1] -> `Output` with a log-variance."""
        mean, spread = torch.sigmoid(self.decoder(self.encoder(x))).chunk(2, dim=1)
        return Output(mean, log_variance=LEAST_LOG_VARIANCE * spread)
