"""Fitted radiographs of a table, with their lung fields; opened at first use."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable, Sequence
from functools import cached_property, partial

import numpy as np
import numpy.typing as npt
import pandas as pd

from pneumo_ad.data.fit import Fit, sides
from pneumo_ad.data.lung_fields import LungFields
from pneumo_ad.data.sources.table import check_table, warn_of_undealt
from pneumo_ad.data.store.build import OnError
from pneumo_ad.data.store.opening import open_store
from pneumo_ad.data.store.store import Store
from pneumo_ad.data.words import first_few
from pneumo_ad.errors import DataError, printable
from pneumo_ad.labels import SPLITS


def check_some(table: pd.DataFrame, split: str, label: str, needed: str = "") -> None:
    """Check that a split has a radiograph of a label.

    Args:
        table: Table of radiographs.
        split: Split that needs it.
        label: Label that is needed.
        needed: Purpose, for the message.

    Raises:
        DataError: It has none; lists the numbers of radiographs by split and label.
    """
    counts = (table["split"] + "/" + table["label"]).value_counts(sort=False)
    if f"{split}/{label}" not in counts:
        counted = ", ".join(f"{name}: {count}" for name, count in counts.items())
        raise DataError(f"no image of label={label} in the {split} split{needed}; there are {counted}")


class FittedRadiographs:
    """Store and lung fields of a table, opened at first use.

    Args:
        table: Table of radiographs (`sources`).
        image_size: Side, or height and width, of the fitted radiographs in pixels.
        lungs: Lung fields of a store, for example `pneumo_ad.lungs.AutoFields()`: mask files where there are any,
            else the segmenter.
        fit: `squash` or `pad`.
        on_error: `raise` or `skip` files that cannot be read.

    Attributes:
        skipped: Name of a radiograph that cannot be used -> reason; known once the store is open.
        opened: Hook that gets the function which opens the store, and returns the store; `Origin` adds its checks here.

    Raises:
        DataError: See `check_table`, `open_store`.
        ConfigError: An image size below 1.
    """

    def __init__(
        self,
        table: pd.DataFrame,
        image_size: int | Sequence[int] = 256,
        *,
        lungs: LungFields,
        fit: Fit = "squash",
        on_error: OnError = "raise",
    ) -> None:
        self.image_size = sides(image_size)
        self.table = check_table(table)
        self.lungs = lungs
        self.fit: Fit = fit
        self.on_error: OnError = on_error
        self.skipped: dict[str, str] = {}
        self.opened: Callable[[Callable[[], Store]], Store] = operator.call

    @cached_property
    def store(self) -> Store:
        """Open store; opened, or built, at first use."""
        store = self.opened(partial(open_store, self.table, self.image_size, self.fit, self.on_error))
        small = self._too_small(store)
        self.skipped = store.skipped | small
        shown = first_few(map(printable, self.skipped.values()), 3, "; ")
        if small and self.on_error == "raise":
            raise DataError(f"{len(small)} images cannot be used (on_error=skip leaves them out): {shown}")
        if self.skipped:
            warnings.warn(f"{len(self.skipped)} images were skipped: {shown}", stacklevel=3)
        warn_of_undealt(store.table)
        return store

    def _too_small(self, store: Store) -> dict[str, str]:
        """Radiographs that can be read but not used: name -> reason."""
        return {}

    @cached_property
    def lung_fields(self) -> npt.NDArray[np.uint8]:
        """Lung fields, (N, H, W) uint8 of 0 and 1, row by row as in the store; computed at first use."""
        return self.lungs(self.store)

    def rows(self, split: str | None, label: str | None = None) -> npt.NDArray[np.int64]:
        """Return the rows of a split (None: any) and label (None: all), without those skipped or `UNDEALT`."""
        table = self.store.table
        chosen = (~table["image"].isin(list(self.skipped)) & table["split"].isin(SPLITS)).to_numpy()
        for column, wanted in (("split", split), ("label", label)):
            if wanted is not None:
                chosen = chosen & (table[column] == wanted).to_numpy()
        return np.flatnonzero(chosen)
