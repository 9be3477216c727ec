"""Standardisation of radiographs, which removes differences in exposure."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def standardise(images: Tensor) -> Tensor:
    """Scale each image, (B, 1, H, W), to mean 0 and standard deviation 1; returns float32."""
    x = images.float()
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    return (x - mean) / x.std(dim=(1, 2, 3), keepdim=True).clamp_min(1e-3)


def standardised_squares(images: Tensor) -> Tensor:
    """Standardise and turn every 2 x 2 pixels into four channels: (B, 1, H, W) of any range -> (B, 4, H / 2, W / 2).

    Shi et al. 2016 (CVPR): full resolution at a quarter of the work.
    """
    return F.pixel_unshuffle(standardise(images), 2).contiguous(memory_format=torch.channels_last)
