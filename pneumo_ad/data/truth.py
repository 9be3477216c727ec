"""What is known of the pixels of every radiograph: from masks, boxes and labels; lung fields where no mask is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pneumo_ad.data.store.store import Store
from pneumo_ad.labels import IN_OPACITY, NORMAL


@dataclass(frozen=True)
class PixelTruth:
    """The truth of the radiographs of a store, row by row.

    Attributes:
        store: Open.
        fields: (N, H, W) lung fields, used where no lung mask exists; None where the lungs were not looked for.
    """

    store: Store
    fields: npt.NDArray[np.uint8] | None

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """(N,) where it is known which pixels are opacity.

        A mask file or boxes tell, and the label normal tells that there is none. Of normal radiographs without a lung
        mask that counts only in data in which something tells of opacities: elsewhere there is nothing to rank.
        """
        table = self.store.table
        told = table["has_opacity"].to_numpy(dtype=bool)
        masked = table["has_lung"].to_numpy(dtype=bool)
        normal = (table["label"] == NORMAL).to_numpy()
        return told | (normal & (masked | told.any()))

    @property
    def lung_known(self) -> npt.NDArray[np.bool_]:
        """(N,) where a mask file or the lung field tells lung from the rest."""
        masked = self.store.table["has_lung"].to_numpy(dtype=bool)
        return masked if self.fields is None else np.ones(len(masked), dtype=bool)

    def lung(self, row: int) -> npt.NDArray[np.uint8]:
        """(H, W) of 0 and 1: the mask file, else the lung field, else nothing."""
        if self.store.table["has_lung"].iloc[row] or self.fields is None:
            return np.asarray(self.store.lung[row])  # zeros where there is no file
        return np.asarray(self.fields[row])

    def pixels(self, row: int) -> npt.NDArray[np.uint8]:
        """(H, W) of `labels`, but for `NOT_KNOWN`; of a row that is `known`."""
        return np.where(self.store.opacity[row] == 1, IN_OPACITY, self.lung(row)).astype(np.uint8)
