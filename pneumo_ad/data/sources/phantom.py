"""data=phantom: synthetic radiographs."""

from __future__ import annotations

import pandas as pd

from pneumo_ad.data.phantom import DRAWING, write_phantoms
from pneumo_ad.data.sources.folders import masks
from pneumo_ad.data.sources.table import PatientSplit
from pneumo_ad.files import cache_dir, writable_cache


def phantom(
    normal: int = 240,
    pneumonia: int = 90,
    size: int = 320,
    seed: int = 0,
    split: PatientSplit = "patient",
    val: float = 0.2,
    test: float = 0.3,
) -> pd.DataFrame:
    """Read synthetic radiographs with known lungs and opacities, written to the cache folder at first use.

    Args:
        normal: Number of normal radiographs.
        pneumonia: Number of radiographs with opacities.
        size: Longest side in pixels.
        seed: Seed of all drawings and of the split.
        split: See `split_by_patient`; one patient per radiograph.
        val: Share of patients in val.
        test: Share of patients in test.

    Raises:
        ValueError: See `write_phantoms`.
        ConfigError: `cache_dir()` cannot be written to.
    """
    folder = cache_dir() / "phantoms" / f"v{DRAWING}-normal{normal}-pneumonia{pneumonia}-size{size}-seed{seed}"
    if not folder.is_dir():
        writable_cache()
    write_phantoms(folder, normal=normal, pneumonia=pneumonia, size=size, seed=seed)
    return masks(folder, split=split, val=val, test=test, seed=seed)
