"""Selected windows of an examination: their positions, kinds and pixels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from pneumo_ad.data.radiographs import Radiographs
from pneumo_ad.figures import Figure
from pneumo_ad.labels import KINDS, UNKNOWN
from pneumo_ad.metrics.catalogue import GroundTruth
from pneumo_ad.patches import PatchGrid, gather


class Drawn(NamedTuple):
    """A figure and its underlying numbers."""

    figure: Figure
    numbers: pd.DataFrame


def located(
    data: Radiographs,
    grid: PatchGrid,
    rows: npt.NDArray[np.int64],
    evidence: GroundTruth,
    places: npt.NDArray[np.int64],
) -> pd.DataFrame:
    """Build columns `image`, `label`, `top`, `left`, `lung_share`, `kind_true` ("" where not known) of some windows.

    Args:
        data: Data set that holds the radiographs.
        grid: Grid that numbers the windows.
        rows: (I,) row numbers in the store.
        evidence: Ground truth of these rows and windows.
        places: (n, 2) place in `rows` and number of the window.
    """
    image, window = places.T
    table = data.store.table.iloc[rows[image]][["image", "label"]].reset_index(drop=True)
    table[["top", "left"]] = grid.positions[window]
    kind = evidence.kind[image, window]
    table["lung_share"] = evidence.lung_share[image, window]
    table["kind_true"] = np.where(kind == UNKNOWN, "", np.array(KINDS)[kind])
    return table


def cut(
    data: Radiographs,
    grid: PatchGrid,
    rows: npt.NDArray[np.int64],
    places: npt.NDArray[np.int64],
    halo: int = 0,
) -> npt.NDArray[np.uint8]:
    """Return (n, p + 2 halo, p + 2 halo) uint8 grey levels of some windows, as the net sees them.

    Args:
        data: Data set that holds the radiographs.
        grid: Grid that numbers the windows.
        rows: (I,) row numbers in the store.
        places: (n, 2) place in `rows` and number of the window.
        halo: Pixels of surroundings on every side.
    """
    where = np.column_stack([rows[places[:, 0]], grid.positions[places[:, 1]]])
    return gather(data.images, where, grid.patch, halo)[:, 0]
