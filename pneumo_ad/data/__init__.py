"""From a file to a batch of patches."""

from pneumo_ad.data.datamodule import PatchDataModule
from pneumo_ad.data.datasets import VAL_KINDS, ExhaustivePatches, NormalLungPatches
from pneumo_ad.data.readers.radiograph import read_radiograph
from pneumo_ad.data.store.store import Store, open_store

__all__ = [
    "VAL_KINDS",
    "ExhaustivePatches",
    "NormalLungPatches",
    "PatchDataModule",
    "Store",
    "open_store",
    "read_radiograph",
]
