"""Anomaly maps on points of the radiograph itself, the same points whatever a run's image size, patch, stride or fit.

`maps/score.npy`, `maps/brightness.npy` and `maps/truth.npy` hold a picture per radiograph whose masks are known,
`maps/images.csv` which radiographs these are.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pneumo_ad.data.fit import unfit_map
from pneumo_ad.files import atomic_write
from pneumo_ad.patches.placement import Placement
from pneumo_ad.saved import is_there, map_array, read_table

POINTS = 128  # to a side: the rectangle of the radiograph, padding cut away, whatever its aspect
_ARRAYS = {"score": np.float32, "brightness": np.float32, "truth": np.uint8}


@dataclass(frozen=True)
class SampledMaps:
    """Maps of K radiographs whose masks are known.

    Attributes:
        images: Columns `image` and `patient`, a row per radiograph.
        score: (K, 128, 128) float32 anomaly map of the run's score, NaN where no window lies.
        brightness: The same of the baseline.
        truth: (K, 128, 128) uint8: 0 outside the lung, 1 healthy lung, 2 opacity.
    """

    images: pd.DataFrame
    score: npt.NDArray[np.float32]
    brightness: npt.NDArray[np.float32]
    truth: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.images)


def sample(fitted: npt.NDArray[Any], placement: Placement) -> npt.NDArray[Any]:
    """(H, W) in fitted pixels -> (128, 128) points spread evenly over the radiograph, each its nearest pixel.

    Args:
        fitted: (H, W) of any type.
        placement: Where the radiograph lies in its fitted image.

    >>> from pneumo_ad.data.fit import place
    >>> sample(np.arange(16, dtype=np.float32).reshape(4, 4), place((2, 4), (4, 4), "pad"))[[0, -1], [0, -1]]
    array([ 4., 11.], dtype=float32)
    """
    return unfit_map(fitted, placement, (POINTS, POINTS))


def write_maps(folder: Path, maps: SampledMaps) -> None:
    """Write maps into `folder`; `images.csv` comes last: where it exists, the other files do too.

    Args:
        folder: Folder to write to.
        maps: Maps to write.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "images.csv").unlink(missing_ok=True)
    for name in _ARRAYS:
        with atomic_write(folder / f"{name}.npy") as aside, aside.open("wb") as file:
            np.save(file, getattr(maps, name), allow_pickle=False)
    with atomic_write(folder / "images.csv") as aside:
        maps.images.to_csv(aside, index=False)


def read_maps(folder: Path) -> SampledMaps | None:
    """What `write_maps` wrote, memory-mapped; None where there is none.

    Args:
        folder: Where it was written.

    Raises:
        DamagedError: A part of it is missing or cannot be read, or they are not of the same radiographs.
    """
    file = folder / "images.csv"
    if not is_there(file):
        return None
    images = read_table(file, {"image": str, "patient": str})
    shape = (len(images), POINTS, POINTS)
    return SampledMaps(images, *(map_array(folder / f"{name}.npy", dtype, shape) for name, dtype in _ARRAYS.items()))
