"""Preliminary experiment of the paper: a CNN that classifies whole radiographs, and its Grad-CAM."""

from pneumo_ad.classifier.attention import compare_with_area, grad_cam, share_inside
from pneumo_ad.classifier.cnn import RadiographCNN
from pneumo_ad.classifier.data import RadiographDataModule
from pneumo_ad.classifier.module import RadiographClassifier, balanced_weights, weighted_loss

__all__ = [
    "RadiographCNN",
    "RadiographClassifier",
    "RadiographDataModule",
    "balanced_weights",
    "compare_with_area",
    "grad_cam",
    "share_inside",
    "weighted_loss",
]
