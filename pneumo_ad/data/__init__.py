"""From a file to a batch of patches."""

from pneumo_ad.data.datamodule import PatchDataModule
from pneumo_ad.data.datasets import VAL_KINDS, ExhaustivePatches, NormalLungPatches
from pneumo_ad.data.lung_fields import LungFields
from pneumo_ad.data.readers import read_radiograph
from pneumo_ad.data.sources.table import check_table, split_by_patient
from pneumo_ad.data.store import Store, open_store

__all__ = [
    "VAL_KINDS",
    "ExhaustivePatches",
    "LungFields",
    "NormalLungPatches",
    "PatchDataModule",
    "Store",
    "check_table",
    "open_store",
    "read_radiograph",
    "split_by_patient",
]
