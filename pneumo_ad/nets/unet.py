"""U-net after Fig. 6 of the paper (Nagamura et al. 2019; Ronneberger et al. 2015, MICCAI)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from pneumo_ad.errors import ConfigError
from pneumo_ad.nets.output import Output
from pneumo_ad.nets.upconv import upconv, upsample

Norm = Literal["none", "batch"]

_DEEPEST = 14  # poolings that reduce the longest side (`patches.grid.LONGEST`) to one pixel


class ConvBlock(nn.Sequential):
    """Block of `convs` 3 x 3 convolutions with zero padding, each followed by an optional norm and ReLU; same size.

    Args:
        in_channels: Channels of the input.
        out_channels: Output channels of each convolution.
        convs: Number of convolutions.
        norm: `none` or `batch`.
    """

    def __init__(self, in_channels: int, out_channels: int, convs: int, norm: Norm) -> None:
        layers: list[nn.Module] = []
        for i in range(convs):
            first = in_channels if i == 0 else out_channels
            layers.append(nn.Conv2d(first, out_channels, 3, padding=1, bias=norm == "none"))
            if norm == "batch":
                layers.append(nn.BatchNorm2d(out_channels))
            layers.append(nn.ReLU(inplace=True))
        super().__init__(*layers)


class UpBlock(ConvBlock):
    """Convolution block on an upsampled input concatenated with a skip connection.

    Args:
        in_channels: Channels of the upsampled input and the skip connection together.
        out_channels: See `ConvBlock`.
        convs: See `ConvBlock`.
        norm: See `ConvBlock`.

    Attributes:
        fused: Whether `upconv` computes upsampling, concatenation and first convolution in one step on the CPU. Other
            devices always use separate steps: transposed convolutions on CUDA may be nondeterministic.
    """

    fused: bool = True

    def forward(self, x: Tensor, kept: Tensor | None = None) -> Tensor:
        """Upsample and convolve, (B, C, H, W) -> (B, out_channels, 2H, 2W).

        Args:
            x: (B, C, H, W) input to upsample.
            kept: (B, D, 2H, 2W) feature map of the skip connection; None without one.
        """
        first, *rest = self
        assert isinstance(first, nn.Conv2d)
        if self.fused and x.device.type == "cpu":
            x = upconv(x, kept, first.weight, first.bias)
        else:
            x = upsample(x)
            x = first(x if kept is None else torch.cat([x, kept], dim=1))
        for layer in rest:
            x = layer(x)
        return x


def encoded(x: Tensor, blocks: Iterable[nn.Module], pool: nn.Module) -> list[Tensor]:
    """Compute the output of each level of an encoder, (B, C, H, W) each, with a pooling between two levels.

    Args:
        x: (B, C, H, W) input of the first level.
        blocks: Convolution blocks of the levels, from the finest.
        pool: Pooling.
    """
    maps: list[Tensor] = []
    for block in blocks:
        maps.append(block(pool(maps[-1]) if maps else x))
    return maps


class UNet(nn.Module):
    """U-net of encoder, decoder and skip connections: (B, C, H, W) -> (B, C, H, W) without an activation.

    Channels double after each pooling and halve after each upsampling.

    Args:
        width: Channels of the first level.
        depth: Number of poolings; the sides must be divisible by 2 ** depth.
        convs: Convolutions per level.
        skips: Whether each decoder level takes the encoder level of its size as a skip connection.
        norm: `none` (the paper's net) or `batch`.
        channels: Channels of the input, and of the output unless `classes` says otherwise.
        classes: Channels of the output; default `channels`.

    Raises:
        ConfigError: Number below 1 or unknown norm.
    """

    def __init__(
        self,
        width: int = 32,
        depth: int = 2,
        convs: int = 1,
        skips: bool = True,
        norm: Norm = "none",
        channels: int = 1,
        classes: int | None = None,
    ) -> None:
        super().__init__()
        check_sizes(width, depth, convs, norm)
        self.depth = depth
        self.skips = skips
        widths = [width * 2**level for level in range(depth + 1)]
        sources = [channels, *widths[:-1]]
        self.encoder = nn.ModuleList(ConvBlock(a, b, convs, norm) for a, b in zip(sources, widths, strict=True))
        self.pool = nn.MaxPool2d(2)
        self.decoder = nn.ModuleList(
            UpBlock(widths[level + 1] + (widths[level] if skips else 0), widths[level], convs, norm)
            for level in reversed(range(depth))
        )
        self.head = nn.Conv2d(width, classes or channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Run the U-net, (B, C, H, W) -> (B, C or classes, H, W) float32."""
        check_divisible(x.shape[-2:], self.depth)
        *kept, x = encoded(x, self.encoder, self.pool)
        for block, beside in zip(self.decoder, reversed(kept), strict=True):
            x = block(x, beside if self.skips else None)
        with torch.autocast(x.device.type, enabled=False):  # bfloat16 would round the picture to whole grey levels
            return self.head(x.float())


def check_sizes(width: int, depth: int, convs: int, norm: str) -> None:
    """Check the sizes of a net of `ConvBlock`s.

    Args:
        width: Channels of the first level.
        depth: Number of poolings.
        convs: Convolutions per level.
        norm: `none` or `batch`.

    Raises:
        ConfigError: Number below 1, more than 14 poolings, or unknown norm.
    """
    if min(width, depth, convs) < 1:
        raise ConfigError(f"width={width}, depth={depth} and convs={convs} must be at least 1")
    if depth > _DEEPEST:
        raise ConfigError(f"depth={depth}: no side is halved so often; expected at most {_DEEPEST}")
    if norm not in ("none", "batch"):
        raise ConfigError(f"norm={norm!r} is not known; expected 'none' or 'batch'")


def check_divisible(sides: Sequence[int], depth: int) -> None:
    """Check that sides in pixels are divisible by 2 ** depth.

    Raises:
        ConfigError: Side that is not; the message names side, divisor and the nearest sides that work.
    """
    factor = 2**depth
    for side in sides:
        if side % factor:
            below, above = side // factor * factor, -(-side // factor) * factor
            nearest = f"{below} or {above}" if below else f"{above}"
            raise ConfigError(
                f"a net of depth {depth} needs sides divisible by {factor}; got {side}, the nearest that work: "
                f"{nearest}"
            )


class UNetAutoencoder(nn.Module):
    """U-net autoencoder, the paper's net: its output is a picture in [0, 1] (sigmoid).

    With skip connections at full resolution it can copy its input, the weakness of the paper's method; `skips=False`
    makes it a plain convolutional autoencoder.

    Args:
        width: See `UNet`.
        depth: See `UNet`.
        convs: See `UNet`.
        skips: See `UNet`.
        norm: See `UNet`.

    Raises:
        ConfigError: See `UNet`; in `forward`, a patch side that is not divisible by 2 ** depth.

    >>> UNetAutoencoder(width=4)(torch.rand(2, 1, 32, 32)).reconstruction.shape
    torch.Size([2, 1, 32, 32])
    """

    def __init__(
        self, width: int = 32, depth: int = 2, convs: int = 1, skips: bool = True, norm: Norm = "none"
    ) -> None:
        super().__init__()
        self.unet = UNet(width, depth, convs, skips, norm)

    def forward(self, x: Tensor) -> Output:
        """Reconstruct patches: (B, 1, p, p) in [0, 1] -> `Output`."""
        return Output(torch.sigmoid(self.unet(x)))
