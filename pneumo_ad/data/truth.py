"""Pixel-level ground truth of every radiograph: masks, boxes and labels; lung fields without a lung mask."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pneumo_ad.data.store.store import Store
from pneumo_ad.labels import IN_OPACITY, NORMAL


@dataclass(frozen=True)
class PixelTruth:
    """Pixel-level ground truth of the radiographs of a store, row by row.

    Attributes:
        store: Open store.
        fields: (N, H, W) uint8 lung fields of 0 and 1, used without a lung mask; None without lung segmentation.
    """

    store: Store
    fields: npt.NDArray[np.uint8] | None

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Radiographs whose opacity pixels are known, (N,) bool.

        They are known from a mask file or boxes, and from the label normal: there are none. Normal radiographs without
        a lung mask count only if some radiograph has a mask or boxes: without any there is nothing to rank.
        """
        table = self.store.table
        marked = table["has_opacity"].to_numpy(dtype=bool)
        masked = table["has_lung"].to_numpy(dtype=bool)
        normal = (table["label"] == NORMAL).to_numpy()
        return marked | (normal & (masked | marked.any()))

    @property
    def lung_known(self) -> npt.NDArray[np.bool_]:
        """Radiographs whose lung pixels are known, from a mask file or a lung field, (N,) bool."""
        masked = self.store.table["has_lung"].to_numpy(dtype=bool)
        return masked if self.fields is None else np.ones(len(masked), dtype=bool)

    def lung(self, row: int) -> npt.NDArray[np.uint8]:
        """Return the lung mask, (H, W) uint8 of 0 and 1: the mask file, else the lung field, else zeros."""
        if self.store.table["has_lung"].iloc[row] or self.fields is None:
            return np.asarray(self.store.lung[row])  # zeros where there is no file
        return np.asarray(self.fields[row])

    def pixels(self, row: int) -> npt.NDArray[np.uint8]:
        """Return the codes of the pixels (`labels`, without `NOT_KNOWN`), (H, W) uint8, of a row that is `known`."""
        return np.where(self.store.opacity[row] == 1, IN_OPACITY, self.lung(row)).astype(np.uint8)
