"""Data module of whole radiographs with their targets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import lightning as L
import numpy as np
import numpy.typing as npt
import pandas as pd
from torch.utils.data import DataLoader

from pneumo_ad.data.datasets import PatchBatch, WholeRadiographs
from pneumo_ad.data.fitted_radiographs import FittedRadiographs
from pneumo_ad.data.samplers import BatchLoader, NumberedEpochs, ResumableLoader, Share
from pneumo_ad.errors import ConfigError

if TYPE_CHECKING:
    from pneumo_ad.data.augment import Augment


class WholeDataModule(L.LightningDataModule):
    """Lightning data module of whole radiographs, split by patient as in their table.

    Subclasses choose the targets (`targets`), the radiographs (`rows`), and the requirements on a table (`check`).

    Args:
        radiographs: Radiographs and their lung fields.
        augment: Augmentation of training radiographs and their lung fields.
        batch_size: Radiographs in a batch.
        only_whole: Whether the last batch of an epoch is left out if it is smaller than the others.
        seed: Seed of order and augmentation.
        num_workers: Worker processes that read and augment; 0 is fastest without augmentation.

    Raises:
        DataError: See `check`.
        ConfigError: A batch size below 1.
    """

    def __init__(
        self,
        radiographs: FittedRadiographs,
        augment: Augment | None = None,
        batch_size: int = 16,
        only_whole: bool = False,
        seed: int = 0,
        num_workers: int = 0,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise ConfigError(f"batch_size={batch_size} must be at least 1")
        self.radiographs = radiographs
        self.augment = augment
        self.batch_size = batch_size
        self.only_whole = only_whole
        self.seed = seed
        self.num_workers = num_workers
        self.check(radiographs.table)  # before any file is decoded

    @staticmethod
    def check(table: pd.DataFrame) -> None:
        """Check that each split has the radiographs that are needed of it.

        Raises:
            DataError: A split lacks them; says what there is.
        """

    def targets(self) -> Mapping[str, npt.NDArray[np.generic]]:
        """Return the targets: name in a batch -> array with a row for each radiograph of the store."""
        return {"lung": self.radiographs.lung_fields}

    def rows(self, split: str) -> npt.NDArray[np.int64]:
        """Return the rows of a split."""
        return self.radiographs.rows(split)

    def prepare_data(self) -> None:
        """Build the store and the lung fields, once per machine."""
        if self.radiographs.store.skipped:
            self.check(self.radiographs.store.table)
        _ = self.radiographs.lung_fields

    def train_dataloader(self) -> DataLoader[PatchBatch]:
        """Return radiographs of the train patients, augmented, in a new order each epoch."""
        dataset, size = self._dataset(self.rows("train"), self.augment), self.batch_size
        drawn = len(dataset) // size * size if self.only_whole and len(dataset) > size else None
        return ResumableLoader(dataset, size, NumberedEpochs(len(dataset), self.seed, drawn), self.num_workers)

    def val_dataloader(self) -> list[DataLoader[PatchBatch]]:
        """Return radiographs of the validation patients, not augmented, in order."""
        return [self.in_order(self.rows("val"))]

    def in_order(self, rows: npt.NDArray[np.integer], augment: Augment | None = None) -> DataLoader[PatchBatch]:
        """Return a loader of some rows of the store, in order.

        Args:
            rows: (I,) rows of the store.
            augment: Augmentation, the same in each epoch, or None.
        """
        dataset = self._dataset(rows, augment)
        return BatchLoader(dataset, self.batch_size, Share(len(dataset)), self.num_workers)

    def _dataset(self, rows: npt.NDArray[np.integer], augment: Augment | None) -> WholeRadiographs:
        return WholeRadiographs(self.radiographs.store.images, rows, self.targets(), augment, self.seed)
