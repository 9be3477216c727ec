"""Patches of radiographs: grid, index of selected windows, cutting, and halo."""

from pneumo_ad.patches.gather import gather
from pneumo_ad.patches.grid import Cover, PatchGrid, largest_patch_inside, starts
from pneumo_ad.patches.halo import check_halo, mirrored
from pneumo_ad.patches.index import PatchIndex

__all__ = [
    "Cover",
    "PatchGrid",
    "PatchIndex",
    "check_halo",
    "gather",
    "largest_patch_inside",
    "mirrored",
    "starts",
]
