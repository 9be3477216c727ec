"""Data pipeline: from files to batches of patches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pneumo_ad.data.datasets import VAL_KINDS, ExhaustivePatches, NormalLungPatches
from pneumo_ad.data.lung_fields import LungFields
from pneumo_ad.data.radiographs import Radiographs
from pneumo_ad.data.readers import read_radiograph
from pneumo_ad.data.sources.table import check_table, split_by_patient
from pneumo_ad.data.store import Store, open_store

if TYPE_CHECKING:
    from pneumo_ad.data.datamodule import PatchDataModule

__all__ = [
    "VAL_KINDS",
    "ExhaustivePatches",
    "LungFields",
    "NormalLungPatches",
    "PatchDataModule",
    "Radiographs",
    "Store",
    "check_table",
    "open_store",
    "read_radiograph",
    "split_by_patient",
]


def __getattr__(name: str) -> object:
    """Import `PatchDataModule` lazily: it alone needs Lightning."""
    if name != "PatchDataModule":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pneumo_ad.data.datamodule import PatchDataModule

    return PatchDataModule
