"""Corruptions of the training input, one per file; the target stays the clean patch."""

from pneumo_ad.corruptions.coarse_noise import CoarseNoise
from pneumo_ad.corruptions.drawn_opacity import DrawnOpacity
from pneumo_ad.corruptions.mask_center import MaskCenter
from pneumo_ad.corruptions.none import Corruption, NoCorruption

__all__ = ["CoarseNoise", "Corruption", "DrawnOpacity", "MaskCenter", "NoCorruption"]
