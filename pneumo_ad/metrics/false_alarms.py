"""How often a threshold calls normals that it has not seen: the rate that was declared, against what came of it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pneumo_ad.errors import DataError
from pneumo_ad.metrics.ranking import Interval
from pneumo_ad.metrics.shares import share_with_interval


def false_alarm_rate(
    normals: npt.NDArray[np.floating],
    threshold: float,
    patients: npt.NDArray[np.integer] | npt.NDArray[np.str_],
) -> Interval:
    """Share of normals that score above the threshold, and its 95 % interval by patient (`share_with_interval`).

    Args:
        normals: (n,) scores of normals on which the threshold was not fitted.
        threshold: A normal above it is a false alarm; one on it is not.
        patients: (n,) whose sample it is.

    Returns:
        In [0, 1]; lower is better, as long as it is not above the declared rate.

    Raises:
        DataError: No normals, or some without a score.

    >>> false_alarm_rate(np.arange(100.0), 94.0, np.arange(100)).value
    0.05
    """
    if len(normals) == 0:
        raise DataError("a false-alarm rate is measured on normals; there are none")
    if np.isnan(normals).any():
        raise DataError(f"{np.isnan(normals).sum()} of {len(normals)} normals have no score (NaN)")
    return share_with_interval(normals > threshold, patients)
