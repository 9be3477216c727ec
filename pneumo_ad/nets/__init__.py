"""Architectures, one per file: (B, 1, p, p) in [0, 1] -> `Output`."""

from pneumo_ad.nets.output import Output
from pneumo_ad.nets.unet import UNet, UNetAutoencoder

__all__ = ["Output", "UNet", "UNetAutoencoder"]
