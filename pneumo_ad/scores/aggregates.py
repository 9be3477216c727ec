"""How the scores within a lung field become one score per radiograph."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

import numpy as np
import numpy.typing as npt

from pneumo_ad.errors import ConfigError

Values = npt.NDArray[np.floating]
Inside = npt.NDArray[np.bool_]


class Aggregate(ABC):
    """Turns what lies within the lung field into one score; higher is more anomalous, as the scores are.

    Args:
        of: Values that the caller hands over: the scores of `patches`, or the `pixels` of the anomaly map.

    Raises:
        ConfigError: Neither of the two.
    """

    def __init__(self, of: Literal["patches", "pixels"] = "patches") -> None:
        if of not in ("patches", "pixels"):
            raise ConfigError(f"of={of!r} is not known: a radiograph's score is made of patches or pixels")
        self.of = of

    def __call__(self, values: Values, inside: Inside) -> npt.NDArray[np.float64]:
        """Scores and what lies within the lung field -> one score per radiograph.

        Args:
            values: (I, N) of I radiographs; NaN (pixels that no window covers) is left out.
            inside: (I, N) bool.

        Returns:
            (I,) in the unit of the values; NaN for a radiograph with nothing inside.
        """
        return self.aggregate(values, inside & ~np.isnan(values))

    @abstractmethod
    def aggregate(self, values: Values, inside: Inside) -> npt.NDArray[np.float64]:
        """The same, when `inside` holds nothing that is NaN.

        Args:
            values: (I, N) of I radiographs.
            inside: (I, N) bool.
        """


class Mean(Aggregate):
    """The mean: every part of the lung field counts alike.

    >>> Mean()(np.array([[1.0, 3.0, 100.0]]), np.array([[True, True, False]]))
    array([2.])
    """

    def aggregate(self, values: Values, inside: Inside) -> npt.NDArray[np.float64]:
        """(I,) means; see `Aggregate.aggregate`."""
        total = np.where(inside, values, 0).sum(axis=1, dtype=np.float64)
        with np.errstate(invalid="ignore"):
            return total / inside.sum(axis=1)


class TopFraction(Aggregate):
    """Mean of the highest fraction, of one score at least: a small opacity is not drowned by healthy lung.

    Args:
        fraction: In (0, 1]; 1 is the mean.
        of: `patches` or `pixels`.

    Raises:
        ConfigError: A fraction outside (0, 1], or an unknown `of`.

    >>> TopFraction(0.5)(np.array([[1.0, 2.0, 3.0, 4.0, 100.0]]), np.array([[True, True, True, True, False]]))
    array([3.5])
    """

    def __init__(self, fraction: float = 0.1, of: Literal["patches", "pixels"] = "patches") -> None:
        super().__init__(of)
        if not 0 < fraction <= 1:
            raise ConfigError(f"fraction={fraction} must lie in (0, 1]; 0.1 is the highest tenth")
        self.fraction = fraction

    def aggregate(self, values: Values, inside: Inside) -> npt.NDArray[np.float64]:
        """(I,) means of the highest ceil(fraction n) of n; see `Aggregate.aggregate`."""
        scores = np.full(len(values), np.nan)
        for i, (own, chosen) in enumerate(zip(values, inside, strict=True)):
            found = own[chosen]
            if found.size:
                most = int(np.ceil(self.fraction * found.size - 1e-9))  # a tenth of 30 is 3, whatever the last bit
                scores[i] = np.partition(found, -most)[-most:].mean(dtype=np.float64)
        return scores


class Highest(Aggregate):
    """The highest score: one patch is enough.

    >>> Highest()(np.array([[1.0, 3.0, 100.0]]), np.array([[True, True, False]]))
    array([3.])
    """

    def aggregate(self, values: Values, inside: Inside) -> npt.NDArray[np.float64]:
        """(I,) maxima; see `Aggregate.aggregate`."""
        highest = np.max(values, axis=1, where=inside, initial=-np.inf)
        return np.where(inside.any(axis=1), highest, np.nan).astype(np.float64)
