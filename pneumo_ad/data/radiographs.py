"""Radiographs with their store, lung fields, ground truth and windows, for training, scoring and evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from pneumo_ad.data.datasets import ExhaustivePatches, NormalLungPatches
from pneumo_ad.data.evenly_spaced import evenly_spaced
from pneumo_ad.data.fit import Fit, sides
from pneumo_ad.data.fitted_radiographs import FittedRadiographs, check_some
from pneumo_ad.data.intensity import AsStored, Intensity
from pneumo_ad.data.lung_fields import LungFields, WholeImage
from pneumo_ad.data.store.build import OnError
from pneumo_ad.data.store.store import Store
from pneumo_ad.data.truth import PixelTruth
from pneumo_ad.errors import ConfigError
from pneumo_ad.labels import NORMAL
from pneumo_ad.patches import Cover, PatchGrid, check_halo

View = Literal["patch", "image"]


class Radiographs(FittedRadiographs):
    """Store and lung fields of a table, opened at first use, and patches cut from them.

    Args:
        table: Table of radiographs (`sources`).
        image_size: See `FittedRadiographs`.
        lungs: See `FittedRadiographs`.
        fit: See `FittedRadiographs`.
        patch: Side of a patch in pixels.
        stride: Distance between windows in pixels.
        cover: `inside` leaves an uncovered border, `full` adds windows flush to it.
        halo: Pixels of context on every side of a patch, mirrored at the border.
        intensity: Normalisation of grey levels; default: as stored.
        view: Input of the net: `patch`, or `image`, a whole radiograph.
        on_error: See `FittedRadiographs`.

    Attributes:
        grid: Geometry of the windows.

    Raises:
        DataError: See `check_table`, `open_store`, `NormalLungPatches`; also a class or split without a radiograph.
        ConfigError: Options that do not work together.
    """

    def __init__(
        self,
        table: pd.DataFrame,
        image_size: int | Sequence[int] = 256,
        *,
        lungs: LungFields,
        fit: Fit = "squash",
        patch: int = 32,
        stride: int = 20,
        cover: Cover = "inside",
        halo: int = 0,
        intensity: Intensity | None = None,
        view: View = "patch",
        on_error: OnError = "raise",
    ) -> None:
        if view not in ("patch", "image"):
            raise ConfigError(f"view={view} is not known; expected patch or image")
        self.grid = PatchGrid(sides(image_size), patch, stride, cover)
        check_halo(halo, self.grid.image_size)
        if halo and view == "image":
            raise ConfigError(f"halo={halo} has no effect with view=image: the net sees whole images; halo=0")
        super().__init__(table, image_size, lungs=lungs, fit=fit, on_error=on_error)
        self.halo = halo
        self.intensity = intensity if intensity is not None else AsStored()
        self.view: View = view

    def _too_small(self, store: Store) -> dict[str, str]:
        """Radiographs smaller than a patch: enlarged, their patches would be interpolation only."""
        table = store.table[store.table[["height", "width"]].min(axis=1) < self.grid.patch]
        return {
            str(row.image): f"{row.path}: {row.height} x {row.width} pixels, smaller than a patch of {self.grid.patch}"
            for row in table.itertuples()
        }

    @cached_property
    def images(self) -> npt.NDArray[np.uint8]:
        """Grey levels after `intensity`, (N, H, W) uint8, row by row as in the store; computed at first use."""
        return self.intensity(self.store, self.lung_fields)

    def content(self, rows: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8]:
        """Return content masks, (len(rows), H, W) uint8: 1 on the radiograph, 0 on the padding."""
        return self.store.content(rows)

    @property
    def truth(self) -> PixelTruth:
        """Pixel-level ground truth; with `WholeImage`, lungs are known from mask files only."""
        return PixelTruth(self.store, None if isinstance(self.lungs, WholeImage) else self.lung_fields)

    def rows_without_lung(self) -> npt.NDArray[np.int64]:
        """Return the rows whose lung field is empty."""
        return np.flatnonzero([not field.any() for field in self.lung_fields])  # one by one, to bound memory

    def some_rows(self, split: str, label: str) -> npt.NDArray[np.int64]:
        """Return the rows of a split and label, at least one, see `rows`.

        Raises:
            DataError: There are none; lists the numbers of radiographs by split and label.
        """
        rows = self.rows(split, label)
        if not len(rows):
            check_some(self.store.table.iloc[self.rows(None)], split, label)
        return rows

    def normal_lung_patches(self, split: str) -> NormalLungPatches:
        """Return the patches wholly inside the lung fields of a split's normal radiographs."""
        return NormalLungPatches(self.images, self.lung_fields, self.some_rows(split, NORMAL), self.grid, self.halo)

    def exhaustive_patches(self, split: str, label: str, images: int | None = None) -> ExhaustivePatches:
        """Return every window of a split's radiographs of one label, of at most `images` of them, evenly spaced."""
        rows = self.rows(split, label)
        if images is not None:
            rows = rows[evenly_spaced(len(rows), images)]
        return ExhaustivePatches(self.images, rows, self.grid, self.halo)
