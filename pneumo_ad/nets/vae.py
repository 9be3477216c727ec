"""Variational autoencoder (Kingma & Welling 2014, ICLR; weighted as in beta-VAE, Higgins et al. 2017, ICLR)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pneumo_ad.errors import ConfigError
from pneumo_ad.nets.dense import DenseDecoder, DenseEncoder
from pneumo_ad.nets.output import Output
from pneumo_ad.nets.unet import Norm


def kl_to_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Compute the KL divergence of N(mean, exp(log_variance)) from N(0, 1).

    Args:
        mean: (B, latent) means.
        log_variance: (B, latent) log-variances.

    Returns:
        (B,) nats, summed over the latent, 0 or more; 0 at mean 0 and log-variance 0.

    >>> kl_to_standard_normal(torch.tensor([[0.0], [2.0]]), torch.zeros(2, 1)).tolist()
    [0.0, 2.0]
    """
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1)


class VAE(nn.Module):
    """`BottleneckAutoencoder` with a distribution as latent: sampled in training, its mean in evaluation.

    The penalty is beta times the KL divergence in nats per pixel (the mean over the batch, divided by patch ** 2), on
    the scale of losses that are means per pixel. With the mean squared error this is the evidence lower bound for a
    Gaussian of variance beta / 2 around the picture; with L1, for a Laplacian of scale beta. (Squared Dice is about the
    squared error over twice the mean square of the patch, so beta weighs less there.) beta=1 would model whole patches
    as noise, and the latent would collapse. Noise comes from torch's global generator.

    Args:
        patch: Side of the patches in pixels, divisible by 2 ** depth; other sizes are refused.
        latent: Size of the latent.
        beta: Weight of the divergence, positive; see above.
        width: Channels of the first level, doubled after each pooling.
        depth: Number of poolings.
        convs: Convolutions per level.
        norm: `none` or `batch`.

    Raises:
        ConfigError: See `BottleneckAutoencoder`; also a beta that is not positive.

    >>> output = VAE(patch=32, latent=8, width=4)(torch.rand(2, 1, 32, 32))
    >>> output.reconstruction.shape, output.penalty.item() > 0
    (torch.Size([2, 1, 32, 32]), True)
    """

    def __init__(
        self,
        patch: int,
        latent: int = 32,
        beta: float = 0.005,
        width: int = 32,
        depth: int = 3,
        convs: int = 1,
        norm: Norm = "batch",
    ) -> None:
        super().__init__()
        if latent < 1:
            raise ConfigError(f"latent={latent} must be at least 1")
        if not beta > 0:
            raise ConfigError(f"beta={beta} must be positive; net=bottleneck_autoencoder is the net without a prior")
        self.beta = beta
        self.encoder = DenseEncoder(patch, 2 * latent, width, depth, convs, norm)
        self.decoder = DenseDecoder(patch, latent, width, depth, convs, norm)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Encode (B, 1, patch, patch) in [0, 1] -> mean and log-variance of the latent, (B, latent) float32 each."""
        mean, log_variance = self.encoder(x).float().chunk(2, dim=1)
        return mean, log_variance

    def forward(self, x: Tensor) -> Output:
        """Reconstruct patches: (B, 1, patch, patch) in [0, 1] -> `Output` with a penalty."""
        mean, log_variance = self.encode(x)
        latent = mean
        if self.training:
            latent = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
        divergence = kl_to_standard_normal(mean, log_variance).mean() / x[0].numel()
        return Output(self.decoder(latent), penalty=self.beta * divergence)
