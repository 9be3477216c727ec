"""Placement of a radiograph inside the image that it was fitted to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

_COLUMNS = ["top", "left", "fitted_height", "fitted_width"]  # columns of a store's table


@dataclass(frozen=True)
class Placement:
    """Rectangle of the radiograph inside the fitted image, in fitted pixels; the rest is padding.

    Attributes:
        top: First row.
        left: First column.
        height: Number of rows.
        width: Number of columns.
    """

    top: int
    left: int
    height: int
    width: int

    @classmethod
    def of_rows(cls, table: pd.DataFrame) -> list[Placement]:
        """Return the placement of each row of a table.

        Args:
            table: Table with columns `top`, `left`, `fitted_height` and `fitted_width`.
        """
        return [cls(*map(int, row)) for row in table[_COLUMNS].to_numpy().tolist()]

    def inner(self, fitted: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Cut the padding from fitted images; returns a view.

        Args:
            fitted: (..., H, W) fitted images of any dtype.

        >>> Placement(1, 0, 2, 4).inner(np.zeros((5, 4, 4))).shape
        (5, 2, 4)
        """
        return fitted[..., self.top : self.top + self.height, self.left : self.left + self.width]

    def content(self, image_size: tuple[int, int]) -> npt.NDArray[np.uint8]:
        """Return the mask of the radiograph without padding, (H, W) uint8 of 0 and 1.

        Args:
            image_size: Height and width of the fitted image in pixels.

        >>> Placement(1, 0, 1, 2).content((3, 2)).tolist()
        [[0, 0], [1, 1], [0, 0]]
        """
        mask = np.zeros(image_size, dtype=np.uint8)
        self.inner(mask)[:] = 1
        return mask
