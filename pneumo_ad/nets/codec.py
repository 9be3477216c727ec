"""Convolutional encoder and decoder of nets without skip connections."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from pneumo_ad.nets.unet import ConvBlock, Norm, UpBlock, check_divisible, check_sizes, encoded


class Encoder(nn.Module):
    """Encoder, (B, 1, H, W) -> (B, channels, H / 2 ** depth, W / 2 ** depth); channels double after each pooling.

    Args:
        width: Channels of the first level.
        depth: Number of poolings; the sides must be divisible by 2 ** depth.
        convs: Convolutions per level.
        norm: `none` or `batch`.

    Attributes:
        channels: Channels of the output, width * 2 ** depth.

    Raises:
        ConfigError: Number below 1 or unknown norm; in `forward`, a side not divisible by 2 ** depth.

    >>> Encoder(width=4, depth=3)(torch.rand(2, 1, 32, 32)).shape
    torch.Size([2, 32, 4, 4])
    """

    def __init__(self, width: int, depth: int, convs: int = 1, norm: Norm = "none") -> None:
        super().__init__()
        check_sizes(width, depth, convs, norm)
        self.depth = depth
        self.channels = width * 2**depth
        widths = [1, *(width * 2**level for level in range(depth + 1))]
        self.blocks = nn.ModuleList(ConvBlock(a, b, convs, norm) for a, b in pairwise(widths))
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        """Encode (B, 1, H, W) in [0, 1] -> features, 0 or more."""
        check_divisible(x.shape[-2:], self.depth)
        return encoded(x, self.blocks, self.pool)[-1]


class Decoder(nn.Module):
    """Decoder, the mirror of `Encoder`: (B, width * 2 ** depth, h, w) -> (B, pictures, h * 2 ** depth, w * 2 ** depth).

    Args:
        width: Channels of the last level.
        depth: Number of upsamplings.
        convs: Convolutions per level.
        norm: `none` or `batch`.
        pictures: Channels of the output.
    """

    def __init__(self, width: int, depth: int, convs: int = 1, norm: Norm = "none", pictures: int = 1) -> None:
        super().__init__()
        widths = [width * 2**level for level in reversed(range(depth + 1))]
        self.blocks = nn.ModuleList(UpBlock(a, b, convs, norm) for a, b in pairwise(widths))
        self.head = nn.Conv2d(width, pictures, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Decode features -> float32 pictures, without an activation."""
        for block in self.blocks:
            features = block(features)
        with torch.autocast(features.device.type, enabled=False):  # as in `UNet`, as bfloat16 would round grey levels
            return self.head(features.float())
