"""Proportions with an interval by patient that remains valid at 0 and at 1."""

from __future__ import annotations

import numpy as np
from scipy.stats import beta, t

from pneumo_ad.errors import DataError
from pneumo_ad.metrics.ranking import LEVEL, Interval, Patients, Scores, Truth


def share_with_interval(values: Scores | Truth, patients: Patients) -> Interval:
    """Compute the mean of values in [0, 1] and its 95 % interval, with the patient as the sampling unit.

    The exact binomial interval (Clopper & Pearson 1934, Biometrika) on the *effective* number of samples: the variance
    between patients gives the number of independent samples (Korn & Graubard 1998, Survey Methodology). A percentile
    bootstrap collapses to [0, 0] where all values are 0 and is too narrow near it; this interval is not. With one
    sample per patient it is Clopper-Pearson's. Where all values are 0, or all 1, the correlation within patients is
    unknown, and each patient counts as one sample (Kish 1965 where their numbers of samples differ). Coverage falls
    below 95 % (to about 80 % in simulations) where the share is near 0 and comes from one or two patients very unlike
    the rest: no interval accounts for patients that were not drawn.

    Args:
        values: (n,) in [0, 1], n at least 1.
        patients: (n,) patient of each sample.

    Returns:
        Mean and interval; with a single patient the interval is [0, 1], since other patients are unknown.

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
        # Few patients estimate their variance badly: Student's t instead of the normal, as in Korn & Graubard.
        correction = (t.ppf(tail, n - 1) / t.ppf(tail, clusters - 1)) ** 2
        effective = min(n, spread / between * n / (n - 1) * correction)
    else:
        effective = n**2 / np.square(sizes).sum()
    positives = share * effective
    low = beta.ppf(tail, positives, effective - positives + 1) if share > 0 else 0.0
    high = beta.ppf(1 - tail, positives + 1, effective - positives) if share < 1 else 1.0
    return Interval(share, float(low), float(high))


def false_alarm_rate(normals: Scores, threshold: float, patients: Patients) -> Interval:
    """Compute the share of normals above the threshold and its 95 % interval by patient (`share_with_interval`).

    Args:
        normals: (n,) scores of normals on which the threshold was not fitted.
        threshold: Threshold; a normal above it is a false alarm, a normal equal to it is not.
        patients: (n,) patient of each sample.

    Returns:
        False-alarm rate in [0, 1]; valid where it is not above the declared rate.

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
