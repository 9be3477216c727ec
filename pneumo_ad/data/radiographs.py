"""Radiographs with their store, lung fields, truth and windows: what is trained on, scored and measured."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from pneumo_ad.data.datasets import ExhaustivePatches, NormalLungPatches
from pneumo_ad.data.evenly_spaced import evenly_spaced
from pneumo_ad.data.fit import Fit, sides
from pneumo_ad.data.intensity import AsStored, Intensity
from pneumo_ad.data.lung_fields import LungFields, WholeImage
from pneumo_ad.data.sources.table import check_table, warn_of_undealt
from pneumo_ad.data.store.build import OnError
from pneumo_ad.data.store.opening import as_it_is, open_store
from pneumo_ad.data.store.store import Store
from pneumo_ad.data.truth import PixelTruth
from pneumo_ad.errors import ConfigError, DataError, printable
from pneumo_ad.labels import NORMAL, SPLITS
from pneumo_ad.patches import Cover, PatchGrid, check_halo

View = Literal["patch", "image"]


def _some(skipped: dict[str, str]) -> str:
    return "; ".join(map(printable, list(skipped.values())[:3])) + ("; ..." if len(skipped) > 3 else "")


class Radiographs:
    """The store and the lung fields of a table, opened at first use, and patches cut from them.

    Args:
        table: A table of radiographs (`sources`).
        image_size: Side, or height and width, of the fitted radiographs in pixels.
        lungs: Lung fields of a store, for example `pneumo_ad.lungs.AutoFields()`: mask files where there are any,
            else the segmenter.
        fit: `squash` or `pad`.
        patch: Side of a patch in pixels.
        stride: Pixels from one window to the next.
        cover: `inside` leaves an uncovered border, `full` adds windows flush to it.
        halo: Pixels of surroundings on every side of a patch that batches hold too, mirrored at the border.
        intensity: Makes grey levels comparable; default: as stored.
        view: Input of the net: `patch`, or `image`, a whole radiograph.
        on_error: `raise` or `skip` files that cannot be read.

    Attributes:
        grid: The windows.
        skipped: Name -> reason of the radiographs that cannot be used; known once the store is open.
        opened: Hook that gets the function which opens the store, and returns the store; `Origin` adds its checks here.

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
            raise ConfigError(f"halo={halo} has no effect with view=image: the net sees whole radiographs; halo=0")
        self.halo = halo
        self.table = check_table(table)
        self.fit: Fit = fit
        self.lungs = lungs
        self.intensity = intensity if intensity is not None else AsStored()
        self.view: View = view
        self.on_error: OnError = on_error
        self.skipped: dict[str, str] = {}
        self.opened: Callable[[Callable[[], Store]], Store] = as_it_is
        self._store: Store | None = None
        self._lung_fields: npt.NDArray[np.uint8] | None = None
        self._images: npt.NDArray[np.uint8] | None = None

    @property
    def store(self) -> Store:
        """The open store; opened, or built, at first use."""
        if self._store is None:
            given = (self.table, self.grid.image_size, self.fit, self.on_error)
            self._store = self.opened(partial(open_store, *given))
            small = self._too_small(self._store)
            self.skipped = self._store.skipped | small
            if small and self.on_error == "raise":
                raise DataError(
                    f"{len(small)} radiographs cannot be used (on_error=skip leaves them out): {_some(small)}"
                )
            if self.skipped:
                warnings.warn(f"{len(self.skipped)} radiographs were skipped: {_some(self.skipped)}", stacklevel=2)
            warn_of_undealt(self._store.table)
        return self._store

    def _too_small(self, store: Store) -> dict[str, str]:
        """Radiographs smaller than a patch: enlarged, they would show nothing but interpolation."""
        table = store.table[store.table[["height", "width"]].min(axis=1) < self.grid.patch]
        return {
            str(row["image"]): f"{row['path']}: {row['height']} x {row['width']} pixels, smaller than a patch of "
            f"{self.grid.patch}"
            for _, row in table.iterrows()
        }

    @property
    def lung_fields(self) -> npt.NDArray[np.uint8]:
        """(N, H, W) of 0 and 1, row by row as in the store; computed at first use."""
        if self._lung_fields is None:
            self._lung_fields = self.lungs(self.store)
        return self._lung_fields

    @property
    def images(self) -> npt.NDArray[np.uint8]:
        """(N, H, W) uint8 grey levels as nets see them, row by row as in the store; computed at first use."""
        if self._images is None:
            self._images = self.intensity(self.store, self.lung_fields)
        return self._images

    def content(self, rows: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8]:
        """(len(rows), H, W) of 0 and 1: what is radiograph and not padding."""
        return self.store.content(rows)

    @property
    def truth(self) -> PixelTruth:
        """What is known of the pixels; with the lungs not looked for (`WholeImage`), of lungs only what files tell."""
        return PixelTruth(self.store, None if isinstance(self.lungs, WholeImage) else self.lung_fields)

    def rows(self, split: str | None, label: str | None = None) -> npt.NDArray[np.int64]:
        """Rows of the store in a split (None: any), of one label or of all; without those skipped or `UNDEALT`."""
        table = self.store.table
        chosen = (~table["image"].isin(list(self.skipped)) & table["split"].isin(SPLITS)).to_numpy()
        for column, wanted in (("split", split), ("label", label)):
            if wanted is not None:
                chosen = chosen & (table[column] == wanted).to_numpy()
        return np.flatnonzero(chosen)

    def rows_without_lung(self) -> npt.NDArray[np.int64]:
        """Rows in whose radiograph no lung was found."""
        return np.flatnonzero([not field.any() for field in self.lung_fields])  # one by one: none is kept

    def some_rows(self, split: str, label: str) -> npt.NDArray[np.int64]:
        """Rows of a split and label, see `rows`.

        Raises:
            DataError: There are none; says what there is.
        """
        rows = self.rows(split, label)
        if not len(rows):
            table = self.store.table
            counts = (table["split"] + "/" + table["label"]).value_counts(sort=False)
            counted = ", ".join(f"{name}: {count}" for name, count in counts.items())
            raise DataError(f"no {label} radiograph in the {split} split; there are {counted}")
        return rows

    def normal_lung_patches(self, split: str) -> NormalLungPatches:
        """Patches wholly inside the lungs of a split's normal radiographs."""
        return NormalLungPatches(self.images, self.lung_fields, self.some_rows(split, NORMAL), self.grid, self.halo)

    def exhaustive_patches(self, split: str, label: str, images: int | None = None) -> ExhaustivePatches:
        """Every window of a split's radiographs of one label, of at most `images` of them, evenly chosen."""
        rows = self.rows(split, label)
        if images is not None:
            rows = rows[evenly_spaced(len(rows), images)]
        return ExhaustivePatches(self.images, rows, self.grid, self.halo)
