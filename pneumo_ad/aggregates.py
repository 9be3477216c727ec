"""Scores within the lung field become one score per radiograph."""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

Of = Literal["patches", "pixels"]


class Aggregate(Protocol):
    """One score per radiograph."""

    of: Of

    def __call__(self, values: npt.NDArray[np.floating], inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        """(I, N) values, (I, N) whether each counts -> (I,), NaN where none does."""


class Mean:
    """Mean."""

    def __init__(self, of: Of = "patches") -> None:
        self.of = of

    def __call__(self, values: npt.NDArray[np.floating], inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        """See `Aggregate`."""
        total = np.where(inside, values, 0).sum(axis=1, dtype=np.float64)
        with np.errstate(invalid="ignore"):
            return total / inside.sum(axis=1)
