"""Upsampling and 3 x 3 convolution as one transposed convolution: the same result for half of the work."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def upsample(x: Tensor) -> Tensor:
    """Upsample (B, C, H, W) -> (B, C, 2H, 2W) by nearest neighbour: each pixel becomes a 2 x 2 square."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def upconv(x: Tensor, kept: Tensor | None, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve an upsampled input concatenated with a skip connection, 3 x 3 with zero padding.

    A 3 x 3 window of an upsampled input holds at most four distinct pixels, so upsampling and convolution are one
    transposed convolution of four products a pixel instead of nine (the reverse of the sub-pixel convolution of Shi et
    al. 2016, CVPR). The convolution of a concatenation is the sum of the convolutions of its parts. Nothing is
    upsampled or copied; the result equals `conv(cat([upsample(x), kept]))` up to rounding (relative 1e-6).

    Args:
        x: (B, C, H, W) input to upsample.
        kept: (B, D, 2H, 2W) skip connection, or None.
        weight: (O, C + D, 3, 3) weights of the convolution.
        bias: (O,) bias, or None.

    Returns:
        (B, O, 2H, 2W) output.

    >>> x, kept, weight = torch.rand(1, 2, 5, 5), torch.rand(1, 1, 10, 10), torch.rand(4, 3, 3, 3)
    >>> plain = F.conv2d(torch.cat([upsample(x), kept], dim=1), weight, padding=1)
    >>> torch.allclose(upconv(x, kept, weight, None), plain, atol=1e-5)
    True
    """
    channels = x.shape[1]
    of_x = transposed(weight[:, :channels])
    if kept is None:
        return F.conv_transpose2d(x, of_x, bias, stride=2, padding=1)
    beside = F.conv2d(kept, weight[:, channels:], bias, padding=1)
    return F.conv_transpose2d(x, of_x, stride=2, padding=1) + beside


def transposed(weight: Tensor) -> Tensor:
    """Convert weights after an upsampling, (O, C, 3, 3), to a transposed convolution of stride 2, (C, O, 4, 4).

    The transposed convolution has padding 1. A row of the input contributes to four rows of the output, in order with
    the third row of weights, third plus second, second plus first, and the first; columns likewise.

    Args:
        weight: (O, C, 3, 3) weights of the convolution that follows the upsampling.
    """
    for axis in (2, 3):
        first, second, third = weight.unbind(axis)
        weight = torch.stack([third, second + third, first + second, first], dim=axis)
    return weight.transpose(0, 1)
