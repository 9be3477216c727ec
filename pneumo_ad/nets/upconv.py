"""A 3 x 3 convolution of what was upsampled, without upsampling it: the same numbers for half of the work."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def upsample(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C, 2H, 2W) by copying each pixel into a 2 x 2 square (nearest neighbour)."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def upconv(x: Tensor, kept: Tensor | None, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve an upsampled input and, beside it, a skip connection: 3 x 3 with zero padding.

    Four pixels of an upsampled input are equal, so that of nine products five are sums known before: upsampling and
    convolution are one transposed convolution of four products a pixel (the sub-pixel convolution of Shi et al. 2016,
    CVPR, read backwards). A convolution of two inputs side by side is the sum of their convolutions. Nothing is
    upsampled or copied, and the result is that of `conv(cat([upsample(x), kept]))` but for rounding (1e-6 of it).

    Args:
        x: (B, C, H, W).
        kept: (B, D, 2H, 2W), or None.
        weight: (O, C + D, 3, 3).
        bias: (O,), or None.

    Returns:
        (B, O, 2H, 2W).

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
    """(O, C, 3, 3) weights behind an upsampling -> (C, O, 4, 4) of a transposed convolution at stride 2, padding 1.

    A row of the input reaches four rows of the output. From the first of these to the last, its weights are the third,
    the third plus the second, the second plus the first, and the first; columns likewise.

    Args:
        weight: Weights of the convolution that follows the upsampling, (O, C, 3, 3).
    """
    for axis in (2, 3):
        first, second, third = weight.unbind(axis)
        weight = torch.stack([third, second + third, first + second, first], dim=axis)
    return weight.transpose(0, 1)
