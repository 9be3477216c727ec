"""Encoder and decoder with one latent vector per patch; unlike `codec`, for a fixed patch size."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pneumo_ad.errors import ConfigError
from pneumo_ad.nets.codec import Decoder, Encoder
from pneumo_ad.nets.unet import Norm, check_divisible


class DenseEncoder(nn.Module):
    """Encoder, (B, 1, patch, patch) -> (B, size): convolutions, then one dense layer without an activation.

    Args:
        patch: Side of the patches in pixels, divisible by 2 ** depth.
        size: Length of the latent vector.
        width: See `Encoder`.
        depth: See `Encoder`.
        convs: See `Encoder`.
        norm: See `Encoder`.

    Raises:
        ConfigError: See `Encoder`; also a size below 1, a side not divisible by 2 ** depth, or input of another size.
    """

    def __init__(self, patch: int, size: int, width: int, depth: int, convs: int, norm: Norm) -> None:
        super().__init__()
        if size < 1:
            raise ConfigError(f"latent={size} must be at least 1")
        self.features = Encoder(width, depth, convs, norm)
        check_divisible((patch,), depth)
        self.patch = patch
        self.dense = nn.Linear(self.features.channels * (patch // 2**depth) ** 2, size)

    def forward(self, x: Tensor) -> Tensor:
        """Encode (B, 1, patch, patch) float32 in [0, 1] -> (B, size) float32."""
        height, width = x.shape[-2:]
        if (height, width) != (self.patch, self.patch):
            better = f"; train one with patch={height}" if height == width else ""
            raise ConfigError(
                f"a net with a dense latent takes the patches it was made for, {self.patch} x {self.patch} "
                f"(patch={self.patch}); got {height} x {width}{better}"
            )
        return self.dense(self.features(x).flatten(1))


class DenseDecoder(nn.Module):
    """Decoder, (B, latent) -> (B, 1, patch, patch) in [0, 1]: one dense layer, then convolutions and a sigmoid.

    Args:
        patch: See `DenseEncoder`.
        latent: Length of the latent vector.
        width: See `Encoder`.
        depth: See `Encoder`.
        convs: See `Encoder`.
        norm: See `Encoder`.
    """

    def __init__(self, patch: int, latent: int, width: int, depth: int, convs: int, norm: Norm) -> None:
        super().__init__()
        channels, side = width * 2**depth, patch // 2**depth
        self.dense = nn.Sequential(
            nn.Linear(latent, channels * side**2), nn.Unflatten(1, (channels, side, side)), nn.ReLU()
        )
        self.picture = Decoder(width, depth, convs, norm)

    def forward(self, latent: Tensor) -> Tensor:
        """Decode (B, latent) float32 -> (B, 1, patch, patch) float32 in [0, 1]."""
        return torch.sigmoid(self.picture(self.dense(latent)))
