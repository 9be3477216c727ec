"""Autoencoder with a dense bottleneck (Hinton & Salakhutdinov 2006, Science; here with convolutions)."""

from __future__ import annotations

from torch import Tensor, nn

from pneumo_ad.nets.dense import DenseDecoder, DenseEncoder
from pneumo_ad.nets.output import Output
from pneumo_ad.nets.unet import Norm


class BottleneckAutoencoder(nn.Module):
    """Convolutional autoencoder whose bottleneck is a vector of `latent` numbers.

    Unlike `UNetAutoencoder(skips=False)`, whose bottleneck is a feature map that grows with the patch, it cannot copy.

    Args:
        patch: Side of the patches in pixels, divisible by 2 ** depth; other sizes are refused.
        latent: Size of the bottleneck.
        width: Channels of the first level, doubled after each pooling.
        depth: Number of poolings.
        convs: Convolutions per level.
        norm: `none` or `batch`.

    Raises:
        ConfigError: Number below 1, unknown norm, or side not divisible by 2 ** depth (the message names the nearest
            that is); in `forward`, a patch of another size.

    >>> import torch
    >>> BottleneckAutoencoder(patch=32, latent=8, width=4)(torch.rand(2, 1, 32, 32)).reconstruction.shape
    torch.Size([2, 1, 32, 32])
    """

    def __init__(
        self, patch: int, latent: int = 32, width: int = 32, depth: int = 3, convs: int = 1, norm: Norm = "none"
    ) -> None:
        super().__init__()
        self.encoder = DenseEncoder(patch, latent, width, depth, convs, norm)
        self.decoder = DenseDecoder(patch, latent, width, depth, convs, norm)

    def forward(self, x: Tensor) -> Output:
        """Reconstruct patches: (B, 1, patch, patch) in [0, 1] -> `Output`."""
        return Output(self.decoder(self.encoder(x)))
