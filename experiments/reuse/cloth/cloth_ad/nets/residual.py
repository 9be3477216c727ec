"""The net: what pneumo_ad asks of one is a module from (B, 1, p, p) in [0, 1] to `Output`."""

from __future__ import annotations

import torch
from pneumo_ad.errors import ConfigError
from pneumo_ad.nets import Output
from torch import Tensor, nn


class Residual(nn.Module):
    """(B, C, H, W) -> the same shape: x + f(x) (He et al. 2016, CVPR)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.f = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return x + self.f(x)


class ResidualAutoencoder(nn.Module):
    """Halves the patch `depth` times to a narrow code and doubles it back; nothing skips the code.

    Args:
        width: Channels.
        depth: Halvings; the patch's side must be divisible by 2 ** depth.
        code: Channels of the code.

    Raises:
        ConfigError: A number below 1; on a patch whose side is not divisible.
    """

    def __init__(self, width: int = 16, depth: int = 3, code: int = 8) -> None:
        super().__init__()
        if min(width, depth, code) < 1:
            raise ConfigError(f"width={width}, depth={depth} and code={code} must be at least 1")
        self.side = 2**depth
        layers: list[nn.Module] = []
        for level in range(depth):
            layers += [nn.Conv2d(width if level else 1, width, 4, stride=2, padding=1), Residual(width)]
        layers += [nn.Conv2d(width, code, 1), nn.Conv2d(code, width, 1)]
        for level in reversed(range(depth)):
            layers += [Residual(width), nn.ConvTranspose2d(width, width if level else 1, 4, stride=2, padding=1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Output:
        """(B, 1, p, p) in [0, 1] -> `Output`."""
        if x.shape[-2] % self.side or x.shape[-1] % self.side:
            raise ConfigError(f"patch={x.shape[-1]} must be divisible by {self.side}")
        return Output(torch.sigmoid(self.layers(x)))
