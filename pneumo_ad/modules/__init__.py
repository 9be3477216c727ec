"""Nets that judge whole radiographs instead of reconstructing patches, one way of training per file."""

from pneumo_ad.modules.feature_detector import FeatureDetector
from pneumo_ad.modules.opacity_detector import OpacityDetector

__all__ = ["FeatureDetector", "OpacityDetector"]
