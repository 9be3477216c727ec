"""Net architectures, one per file: (B, 1, p, p) in [0, 1] -> `Output`."""

from pneumo_ad.nets.aligned_gaussian import AlignedGaussian
from pneumo_ad.nets.anomalib_net import AnomalibNet
from pneumo_ad.nets.bottleneck_autoencoder import BottleneckAutoencoder
from pneumo_ad.nets.feature_gaussian import FeatureGaussian
from pneumo_ad.nets.kind_unet import KindUNet
from pneumo_ad.nets.lite_features import LiteFeatures
from pneumo_ad.nets.memory_autoencoder import MemoryAutoencoder
from pneumo_ad.nets.normal_lung import NormalLung
from pneumo_ad.nets.output import Output
from pneumo_ad.nets.uncertainty_autoencoder import UncertaintyAutoencoder
from pneumo_ad.nets.unet import UNet, UNetAutoencoder
from pneumo_ad.nets.vae import VAE
from pneumo_ad.nets.variance_head import VarianceHead

__all__ = [
    "VAE",
    "AlignedGaussian",
    "AnomalibNet",
    "BottleneckAutoencoder",
    "FeatureGaussian",
    "KindUNet",
    "LiteFeatures",
    "MemoryAutoencoder",
    "NormalLung",
    "Output",
    "UNet",
    "UNetAutoencoder",
    "UncertaintyAutoencoder",
    "VarianceHead",
]
