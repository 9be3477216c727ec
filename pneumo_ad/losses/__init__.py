"""Losses, one per file: target (B, 1, p, p) in [0, 1] and `Output` -> scalar."""

from pneumo_ad.losses.dice import DiceLoss, dice_loss
from pneumo_ad.losses.l1 import L1Loss
from pneumo_ad.losses.mse import MSELoss
from pneumo_ad.losses.ssim import SSIMLoss
from pneumo_ad.losses.uncertainty import UncertaintyLoss, uncertainty_loss

__all__ = ["DiceLoss", "L1Loss", "MSELoss", "SSIMLoss", "UncertaintyLoss", "dice_loss", "uncertainty_loss"]
