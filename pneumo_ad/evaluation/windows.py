"""Selected windows of an examination: their positions, kinds and pixels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from pneumo_ad.data.radiographs import Radiographs
from pneumo_ad.errors import DataError
from pneumo_ad.figures import NAMES, Figure
from pneumo_ad.labels import KINDS, UNKNOWN
from pneumo_ad.metrics.catalogue import GroundTruth
from pneumo_ad.patches import PatchGrid, gather


class Drawn(NamedTuple):
    """A figure and its underlying numbers, for tables also as markdown."""

    figure: Figure
    numbers: pd.DataFrame
    markdown: str = ""


def every_window(data: Radiographs, rows: npt.NDArray[np.int64], grid: PatchGrid) -> pd.DataFrame:
    """Build columns `image`, `top`, `left` of every window of some radiographs, radiograph by radiograph.

    Args:
        data: Data set that holds the radiographs.
        rows: (I,) row numbers in the store.
        grid: Grid of the windows.
    """
    images = data.store.table["image"].iloc[rows].to_numpy()
    top, left = np.tile(grid.positions, (len(rows), 1)).T
    return pd.DataFrame({"image": np.repeat(images, len(grid)), "top": top, "left": left})


def kind_names(kind: npt.NDArray[np.integer]) -> npt.NDArray[np.str_]:
    """Return the name of each kind of window, "" where not known; the shape of `kind`."""
    return np.where(kind == UNKNOWN, "", np.array(KINDS)[kind])


def places_of(evidence: GroundTruth, origin: str) -> npt.NDArray[np.int64]:
    """Return (n, 2) place of the radiograph and number of each window of an origin.

    Args:
        evidence: Ground truth of the radiographs.
        origin: Key of `GroundTruth.origins`.

    Raises:
        DataError: No window of that origin.
    """
    places = np.argwhere(evidence.origins[origin])
    if not len(places):
        raise DataError(f"no window of {NAMES[origin]} in these images")
    return places


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
    table["lung_share"] = evidence.lung_share[image, window]
    table["kind_true"] = kind_names(evidence.kind[image, window])
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
