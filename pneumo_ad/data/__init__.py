"""From a file to a batch of patches."""

from pneumo_ad.data.datamodule import VAL_KINDS, PatchDataModule
from pneumo_ad.data.datasets import ExhaustivePatches, NormalLungPatches
from pneumo_ad.data.radiograph import read_radiograph
from pneumo_ad.data.store import Store, open_store

__all__ = [
    "VAL_KINDS",
    "ExhaustivePatches",
    "NormalLungPatches",
    "PatchDataModule",
    "Store",
    "open_store",
    "read_radiograph",
]
