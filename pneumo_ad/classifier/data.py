"""Data module of whole radiographs with their class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from pneumo_ad.data.fit import Fit
from pneumo_ad.data.fitted_radiographs import FittedRadiographs, check_some
from pneumo_ad.data.lung_fields import LungFields
from pneumo_ad.data.store.build import OnError
from pneumo_ad.data.whole_datamodule import WholeDataModule
from pneumo_ad.labels import NORMAL, PNEUMONIA, SPLITS
from pneumo_ad.lungs.fields import AutoFields

_NEEDED = ": a classifier needs both classes to learn, and its AUROC to be measured"


class RadiographDataModule(WholeDataModule):
    """Normal and pneumonia radiographs of a table, with its split by patient.

    Args:
        table: Table of radiographs (`sources`); those labelled neither normal nor pneumonia are not used.
        image_size: See `FittedRadiographs`.
        fit: See `FittedRadiographs`.
        lungs: Source of the lung fields; default: mask files where available, else the segmenter.
        batch_size: Number of radiographs in a batch.
        on_error: See `FittedRadiographs`.
        seed: Seed of the order of batches.
        num_workers: See `WholeDataModule`.

    Raises:
        DataError: See `FittedRadiographs`; also a split that lacks a class.
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
        lungs = lungs if lungs is not None else AutoFields()
        radiographs = FittedRadiographs(table, image_size, lungs=lungs, fit=fit, on_error=on_error)
        super().__init__(radiographs, batch_size=batch_size, seed=seed, num_workers=num_workers)

    @staticmethod
    def check(table: pd.DataFrame) -> None:
        """Check that each split has both classes.

        Raises:
            DataError: Split that lacks a class; the message names the counts.
        """
        for split in SPLITS:
            for label in (NORMAL, PNEUMONIA):
                check_some(table, split, label, _NEEDED)

    def targets(self) -> dict[str, npt.NDArray[np.bool_]]:
        """Return the targets by name: `pneumonia`, (N,) bool."""
        return {"pneumonia": (self.radiographs.store.table["label"] == PNEUMONIA).to_numpy()}

    def rows(self, split: str) -> npt.NDArray[np.int64]:
        """Return the rows of the store in a split, normal and pneumonia, ascending."""
        return np.sort(np.concatenate([self.radiographs.rows(split, label) for label in (NORMAL, PNEUMONIA)]))
