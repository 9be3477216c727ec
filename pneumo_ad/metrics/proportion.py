"""A share of samples with an interval by patient that stays honest at 0 and at 1."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.stats import beta, t

from pneumo_ad.errors import DataError
from pneumo_ad.metrics.ranking import LEVEL, Interval


def share_with_interval(
    values: npt.NDArray[np.floating] | npt.NDArray[np.bool_], patients: npt.NDArray[np.integer] | npt.NDArray[np.str_]
) -> Interval:
    """Mean of values in [0, 1] and its 95 % interval, the patient being what is drawn.

    The exact binomial interval (Clopper & Pearson 1934, Biometrika) on the *effective* number of samples: the variance
    between patients says how many independent samples these are worth (Korn & Graubard 1998, Survey Methodology). A
    percentile bootstrap collapses to [0, 0] where nothing was found and is too narrow near it; this one does not.
    With one sample from each patient it is Clopper-Pearson's. Where all values are 0, or all 1, they do not say how
    alike a patient's samples are, and each patient counts as one (Kish 1965 where their numbers of samples differ).
    It covers less than it says (in simulations four times in five) where the share is near 0 and made by one or two
    patients very unlike the rest: no interval can know of the patient that was not drawn.

    Args:
        values: (n,) in [0, 1], at least one.
        patients: (n,) whose sample it is.

    Returns:
        From a single patient the interval is [0, 1]: nothing is known of others.

    >>> low, high = share_with_interval(np.zeros(20), np.arange(20))[1:]
    >>> low, round(high, 3)  # none of 20
    (0.0, 0.168)
    >>> round(share_with_interval(np.zeros(200), np.arange(200) // 10).high, 3)  # none of 200, from 20 patients
    0.168
    """
    values = np.asarray(values, dtype=np.float64)
    _, owner, sizes = np.unique(patients, return_inverse=True, return_counts=True)
    n, clusters, share = len(values), len(sizes), float(values.mean())
    tail = (1 - LEVEL) / 2
    if clusters == 1:
        return Interval(share, 0.0, 1.0)
    spread = share * (1 - share)
    between = np.square(np.bincount(owner, weights=values - share)).sum() * clusters / (clusters - 1) / n**2
    if spread > 0 and between > 0:
        # Few patients tell their own variance badly: Student's t instead of the normal's, as Korn & Graubard do.
        known = (t.ppf(tail, n - 1) / t.ppf(tail, clusters - 1)) ** 2
        effective = min(n, spread / between * n / (n - 1) * known)
    else:
        effective = n**2 / np.square(sizes).sum()
    found = share * effective
    low = beta.ppf(tail, found, effective - found + 1) if share > 0 else 0.0
    high = beta.ppf(1 - tail, found + 1, effective - found) if share < 1 else 1.0
    return Interval(share, float(low), float(high))


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
