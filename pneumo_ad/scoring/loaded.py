"""Radiographs in memory, for what else scores those of a store."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pneumo_ad.patches import PatchGrid


@dataclass(frozen=True)
class Loaded:
    """`Radiographs` that lie in no store.

    Attributes:
        grid: The windows.
        view: What a net sees of them.
        images: (b, H, W) grey levels as nets see them.
        lung_fields: (b, H, W) of 0 and 1.
        contents: (b, H, W) of 0 and 1: what is radiograph and not padding.
    """

    grid: PatchGrid
    view: str
    images: npt.NDArray[np.uint8]
    lung_fields: npt.NDArray[np.uint8]
    contents: npt.NDArray[np.uint8]

    def content(self, rows: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8]:
        """(len(rows), H, W) of 0 and 1."""
        return self.contents[rows]
