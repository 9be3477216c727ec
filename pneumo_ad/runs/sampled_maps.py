"""Anomaly maps sampled on a fixed grid of the radiograph, independent of a run's image size, patch, stride and fit.

`maps/score.npy`, `maps/brightness.npy` and `maps/truth.npy` hold one array per radiograph with known masks,
`maps/images.csv` names these radiographs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pneumo_ad.data.fit import unfit_map
from pneumo_ad.files import atomic_write, write_csv
from pneumo_ad.patches.placement import Placement
from pneumo_ad.saved import is_there, map_array, read_table

POINTS = 128  # per side of the radiograph's rectangle, without padding, for any aspect ratio
_ARRAYS = {"score": np.float32, "brightness": np.float32, "truth": np.uint8}


@dataclass(frozen=True)
class SampledMaps:
    """Sampled maps of K radiographs with known masks.

    Attributes:
        images: Table of K rows with columns `image` and `patient`.
        score: (K, 128, 128) float32 anomaly maps of the run's score, NaN where no window lies.
        brightness: (K, 128, 128) float32 anomaly maps of the brightness baseline, NaN likewise.
        truth: (K, 128, 128) uint8 classes: 0 outside the lung, 1 healthy lung, 2 opacity.
    """

    images: pd.DataFrame
    score: npt.NDArray[np.float32]
    brightness: npt.NDArray[np.float32]
    truth: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.images)


def sample(fitted: npt.NDArray[Any], placement: Placement) -> npt.NDArray[Any]:
    """Sample a map in fitted pixels at 128 x 128 evenly spaced points of the radiograph, by nearest neighbour.

    Args:
        fitted: (H, W) array of any dtype.
        placement: Placement of the radiograph in its fitted image.

    Returns:
        (128, 128) array of the same dtype.

    >>> from pneumo_ad.data.fit import place
    >>> sample(np.arange(16, dtype=np.float32).reshape(4, 4), place((2, 4), (4, 4), "pad"))[[0, -1], [0, -1]]
    array([ 4., 11.], dtype=float32)
    """
    return unfit_map(fitted, placement, (POINTS, POINTS))


def write_maps(folder: Path, maps: SampledMaps) -> None:
    """Write maps to `folder`; `images.csv` comes last, so that it exists only if the other files do.

    Args:
        folder: Folder to write to.
        maps: Maps to write.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "images.csv").unlink(missing_ok=True)
    for name in _ARRAYS:
        with atomic_write(folder / f"{name}.npy") as aside, aside.open("wb") as file:
            np.save(file, getattr(maps, name), allow_pickle=False)
    write_csv(folder / "images.csv", maps.images)


def read_maps(folder: Path) -> SampledMaps | None:
    """Read maps that `write_maps` wrote, memory-mapped; None if there are none.

    Args:
        folder: Folder of the maps.

    Raises:
        DamagedError: A file is missing or cannot be read, or the files hold different numbers of radiographs.
    """
    file = folder / "images.csv"
    if not is_there(file):
        return None
    images = read_table(file, {"image": str, "patient": str})
    shape = (len(images), POINTS, POINTS)
    return SampledMaps(images, *(map_array(folder / f"{name}.npy", dtype, shape) for name, dtype in _ARRAYS.items()))
