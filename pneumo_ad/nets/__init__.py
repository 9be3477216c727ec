"""Architectures, one per file: (B, 1, p, p) in [0, 1] -> `Output`."""

from pneumo_ad.nets.bottleneck_autoencoder import BottleneckAutoencoder
from pneumo_ad.nets.memory_autoencoder import MemoryAutoencoder
from pneumo_ad.nets.output import Output
from pneumo_ad.nets.uncertainty_autoencoder import UncertaintyAutoencoder
from pneumo_ad.nets.unet import UNet, UNetAutoencoder
from pneumo_ad.nets.vae import VAE

__all__ = [
    "VAE",
    "BottleneckAutoencoder",
    "MemoryAutoencoder",
    "Output",
    "UNet",
    "UNetAutoencoder",
    "UncertaintyAutoencoder",
]
