"""LightningModules, one training scheme per file."""

from pneumo_ad.modules.autoencoder import PatchAutoencoder
from pneumo_ad.modules.base import NetModule
from pneumo_ad.modules.drawing_detector import DrawingDetector
from pneumo_ad.modules.feature_detector import FeatureDetector
from pneumo_ad.modules.opacity_detector import OpacityDetector
from pneumo_ad.modules.trained_net import TrainedNet

__all__ = [
    "DrawingDetector",
    "FeatureDetector",
    "NetModule",
    "OpacityDetector",
    "PatchAutoencoder",
    "TrainedNet",
]
