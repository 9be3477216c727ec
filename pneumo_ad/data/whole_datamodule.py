"""Batches of whole radiographs, each with what is to be learnt of it."""

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
    """Loads batches of whole radiographs, split as their table says: by patient.

    Who trains on them says with which targets (`targets`), on which radiographs (`rows`), and what a table must have
    (`check`).

    Args:
        radiographs: The radiographs and their lung fields.
        augment: Augmentation of training radiographs and their lung fields.
        batch_size: Radiographs in a batch.
        only_whole: Whether the last batch of an epoch is left out where it is smaller than the others.
        seed: Fixes order and augmentation.
        num_workers: Processes that read and augment; 0 is fastest without augmentation.

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
        """See that each split has what is needed of it.

        Raises:
            DataError: One has not; says what there is.
        """

    def targets(self) -> Mapping[str, npt.NDArray[np.generic]]:
        """By name in a batch, an array with a row for each radiograph of the store."""
        return {"lung": self.radiographs.lung_fields}

    def rows(self, split: str) -> npt.NDArray[np.int64]:
        """Rows of the store in a split."""
        return self.radiographs.rows(split)

    def prepare_data(self) -> None:
        """Build the store and the lung fields, once per machine."""
        if self.radiographs.store.skipped:
            self.check(self.radiographs.store.table)
        _ = self.radiographs.lung_fields

    def train_dataloader(self) -> DataLoader[PatchBatch]:
        """Radiographs of the train patients, augmented, in a new order each epoch."""
        dataset, size = self._dataset(self.rows("train"), self.augment), self.batch_size
        drawn = len(dataset) // size * size if self.only_whole and len(dataset) > size else None
        return ResumableLoader(dataset, size, NumberedEpochs(len(dataset), self.seed, drawn), self.num_workers)

    def val_dataloader(self) -> list[DataLoader[PatchBatch]]:
        """Those of the validation patients as they are, in order."""
        return [self.in_order(self.rows("val"))]

    def in_order(self, rows: npt.NDArray[np.integer], augment: Augment | None = None) -> DataLoader[PatchBatch]:
        """Any rows of the store, in order.

        Args:
            rows: (I,) rows of the store.
            augment: Augmentation, the same each time, or None.
        """
        dataset = self._dataset(rows, augment)
        return BatchLoader(dataset, self.batch_size, Share(len(dataset)), self.num_workers)

    def _dataset(self, rows: npt.NDArray[np.integer], augment: Augment | None) -> WholeRadiographs:
        return WholeRadiographs(self.radiographs.store.images, rows, self.targets(), augment, self.seed)
