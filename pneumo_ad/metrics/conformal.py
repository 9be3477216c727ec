"""Conformal thresholds and p-values from held-out normals: declared against observed false-alarm rate."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pneumo_ad.errors import ConfigError, DataError
from pneumo_ad.metrics.ranking import Scores

_ROUNDING = 1e-9  # tolerance, so that 1 / 0.05 counts as 20 despite rounding


def least_normals(rate: float) -> int:
    """Return the least number of held-out normals for which a false-alarm rate can be guaranteed.

    >>> least_normals(0.05), least_normals(0.01)
    (19, 99)
    """
    return int(np.ceil(1 / rate - _ROUNDING)) - 1


def conformal_threshold(normals: Scores, rate: float) -> float:
    """Compute the threshold that a new, exchangeable normal exceeds with probability at most `rate`.

    The k-th smallest of n normals, k = ceil((n + 1) (1 - rate)): a new normal falls into each of the n + 1 gaps
    with equal probability (Vovk et al. 2005; Lei et al. 2018, JASA). Without ties it is above rate - 1 / (n + 1).

    Args:
        normals: Scores of held-out normals, any shape; one per patient if the guarantee is to hold by patient.
        rate: Declared share of false alarms, in (0, 1).

    Raises:
        DataError: Fewer normals than the rate needs, or a NaN score among them.
        ConfigError: A rate outside (0, 1).

    >>> conformal_threshold(np.arange(1.0, 100.0), 0.05)  # 5 of the 100 places lie above
    95.0
    """
    if not 0 < rate < 1:
        raise ConfigError(f"rate={rate} is no false-alarm rate within (0, 1)")
    ordered = _ordered(normals)
    n = len(ordered)
    k = int(np.ceil((n + 1) * (1 - rate) - _ROUNDING))
    if k > n:
        raise DataError(
            f"a false-alarm rate of {rate:g} needs at least {least_normals(rate)} normal scores; there are {n}, "
            f"which can promise no less than {1 / (n + 1):.2g}"
        )
    return float(ordered[max(k, 1) - 1])


def p_values(scores: Scores, normals: Scores) -> npt.NDArray[np.float64]:
    """Compute conformal p-values: share of normals that score at least as high, the score itself counted among them.

    The p-value of a normal is at most r with probability at most r. A p-value is at most r exactly where the score
    exceeds `conformal_threshold(normals, r)`.

    Args:
        scores: Scores, any shape.
        normals: Scores of held-out normals, any shape.

    Returns:
        p-values in [1 / (n + 1), 1], the shape of `scores`; NaN where a score is NaN.

    Raises:
        DataError: A NaN score among the normals.

    >>> p_values(np.array([0.5, 3.0, 9.0]), np.array([1.0, 2.0, 3.0, 4.0]))
    array([1. , 0.6, 0.2])
    """
    ordered = _ordered(normals)
    reached = len(ordered) - np.searchsorted(ordered, scores, side="left")
    return np.where(np.isnan(scores), np.nan, (1 + reached) / (1 + len(ordered)))


def decisions(p: Scores, normals: int, rate: float) -> list[bool | None]:
    """Decide whether radiographs are anomalous; equivalent to a score above `conformal_threshold`.

    Args:
        p: (n,) p-values, from `p_values`.
        normals: Number of held-out normals behind the p-values.
        rate: Declared false-alarm rate, in (0, 1).

    Returns:
        n decisions; None where the score is missing or there are too few normals for the rate.

    >>> decisions(np.array([0.04, 0.3, np.nan]), normals=24, rate=0.05)
    [True, False, None]
    """
    if normals < least_normals(rate):
        return [None] * len(p)
    return [None if np.isnan(one) else bool(one <= rate) for one in p]


def _ordered(normals: Scores) -> Scores:
    ordered = np.sort(normals, axis=None)
    if np.isnan(ordered).any():
        raise DataError(f"{np.isnan(ordered).sum()} of {len(ordered)} normals have no score (NaN)")
    return ordered
