"""Whole radiographs with their class, out of the store."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypedDict

import lightning as L
import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pneumo_ad.data.datasets import already_a_batch
from pneumo_ad.data.fit import Fit, sides
from pneumo_ad.data.lung_fields import LungFields
from pneumo_ad.data.samplers import EpochShuffle, ResumableLoader
from pneumo_ad.data.sources.table import check_table, warn_of_undealt
from pneumo_ad.data.store.build import OnError
from pneumo_ad.data.store.opening import as_it_is, open_store
from pneumo_ad.data.store.store import Store
from pneumo_ad.errors import ConfigError, DataError, printable
from pneumo_ad.labels import NORMAL, PNEUMONIA, SPLITS
from pneumo_ad.lungs.fields import AutoFields


class RadiographBatch(TypedDict):
    """A batch of radiographs."""

    image: Tensor  # (B, 1, H, W) uint8, grey levels 0-255
    pneumonia: Tensor  # (B,) bool
    row: Tensor  # (B,) int64, of the store


class LabelledRadiographs(Dataset[RadiographBatch]):
    """Some rows of a store, a whole batch at a time.

    Args:
        store: The radiographs.
        rows: (R,) of the store.
    """

    def __init__(self, store: Store, rows: npt.NDArray[np.integer]) -> None:
        self.images = store.images
        self.pneumonia = (store.table["label"] == PNEUMONIA).to_numpy()
        self.rows = np.asarray(rows, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, numbers: Sequence[int]) -> RadiographBatch:
        rows = self.rows[list(numbers)]
        return {
            "image": torch.from_numpy(self.images[rows])[:, None],
            "pneumonia": torch.from_numpy(self.pneumonia[rows]),
            "row": torch.from_numpy(rows),
        }

    def __getitem__(self, number: int) -> RadiographBatch:
        one = self.__getitems__([range(len(self))[number]])
        return {"image": one["image"][0], "pneumonia": one["pneumonia"][0], "row": one["row"][0]}


class RadiographDataModule(L.LightningDataModule):
    """Normal and pneumonia radiographs of a table, split as the table says: by patient.

    Args:
        table: A table of radiographs (`sources`); those labelled neither normal nor pneumonia are not used.
        image_size: Side, or height and width, of the fitted radiographs in pixels.
        fit: `squash` or `pad`.
        lungs: Gives the lung fields; default: mask files where there are any, else the segmenter.
        batch_size: Radiographs in a batch.
        on_error: `raise` or `skip` files that cannot be read.
        seed: Fixes the order of batches.
        num_workers: Processes that read batches; 0 is fastest out of the store.

    Raises:
        DataError: See `check_table`, `open_store`; also a split without one of the classes.
        ConfigError: Sizes below 1.
    """

    def __init__(
        self,
        table: pd.DataFrame,
        image_size: int | Sequence[int] = 256,
        fit: Fit = "squash",
        lungs: LungFields | None = None,
        batch_size: int = 16,
        on_error: OnError = "raise",
        seed: int = 0,
        num_workers: int = 0,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise ConfigError(f"batch_size={batch_size} must be at least 1")
        self.image_size = sides(image_size)
        self.table = check_table(table)
        self.fit: Fit = fit
        self.lungs = lungs if lungs is not None else AutoFields()
        self.batch_size = batch_size
        self.on_error: OnError = on_error
        self.seed = seed
        self.num_workers = num_workers
        self.skipped: dict[str, str] = {}  # name -> reason, known once the store is open
        self.opened: Callable[[Callable[[], Store]], Store] = as_it_is  # what opens the store; see `origin`
        self._store: Store | None = None
        self._lung_fields: npt.NDArray[np.uint8] | None = None
        self.check_classes(self.table)  # before any file is decoded

    @property
    def store(self) -> Store:
        """The open store; built at first use."""
        if self._store is None:
            self._store = self.opened(partial(open_store, self.table, self.image_size, self.fit, self.on_error))
            self.skipped = self._store.skipped
            if self.skipped:
                some = "; ".join(map(printable, list(self.skipped.values())[:3]))
                warnings.warn(f"{len(self.skipped)} radiographs were skipped: {some}", stacklevel=2)
                self.check_classes(self._store.table)
            warn_of_undealt(self._store.table)
        return self._store

    @property
    def lung_fields(self) -> npt.NDArray[np.uint8]:
        """(N, H, W) of 0 and 1, row by row as in the store; computed at first use."""
        if self._lung_fields is None:
            self._lung_fields = self.lungs(self.store)
        return self._lung_fields

    @staticmethod
    def check_classes(table: pd.DataFrame) -> None:
        """See that each split has both classes.

        Raises:
            DataError: One has not; says how many there are.
        """
        counts = (table["split"] + "/" + table["label"]).value_counts(sort=False)
        for split in SPLITS:
            for label in (NORMAL, PNEUMONIA):
                if f"{split}/{label}" not in counts:
                    counted = ", ".join(f"{name}: {count}" for name, count in counts.items())
                    raise DataError(
                        f"no {label} radiograph in the {split} split: a classifier needs both classes to learn, and "
                        f"its AUROC to be measured; there are {counted}"
                    )

    def rows(self, split: str, label: str | None = None) -> npt.NDArray[np.int64]:
        """Rows of the store in a split: of one label, or normal and pneumonia."""
        table = self.store.table
        labels = [NORMAL, PNEUMONIA] if label is None else [label]
        return np.flatnonzero((table["split"] == split) & table["label"].isin(labels))

    def prepare_data(self) -> None:
        """Build the store and the lung fields, once per machine."""
        _ = self.lung_fields

    def train_dataloader(self) -> DataLoader[RadiographBatch]:
        """Radiographs of the train patients, in a new order each epoch."""
        dataset = LabelledRadiographs(self.store, self.rows("train"))
        return ResumableLoader(dataset, self.batch_size, EpochShuffle(len(dataset), self.seed), self.num_workers)

    def val_dataloader(self) -> DataLoader[RadiographBatch]:
        """Those of the validation patients, in order."""
        return self.in_order(self.rows("val"))

    def in_order(self, rows: npt.NDArray[np.integer]) -> DataLoader[RadiographBatch]:
        """Any rows of the store, in order."""
        return DataLoader(
            LabelledRadiographs(self.store, rows),
            self.batch_size,
            collate_fn=already_a_batch,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
        )
