"""AUROC and average precision with intervals by patient."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pneumo_ad.errors import DataError

_BINS = 4096  # of equal mass: on such a grid AUROC is exact to about 1e-5
_AT_ONCE = 1 << 22  # samples: pixels of 500 radiographs are 33 million, and each temporary of int64 takes 260 MB
LEVEL = 0.95

Scores = npt.NDArray[np.floating]
Truth = npt.NDArray[np.bool_]
Patients = npt.NDArray[np.integer] | npt.NDArray[np.str_]


class Interval(NamedTuple):
    """A figure and its 95 % interval.

    Attributes:
        value: Estimate of the figure.
        low: Lower end of the interval.
        high: Upper end of the interval.
    """

    value: float
    low: float
    high: float

    def keyed(self, key: str) -> dict[str, float]:
        """Return entries of `metrics.json`: the figure under `key`, its ends under `<key>_low` and `<key>_high`.

        >>> Interval(0.5, 0.4, 0.6).keyed("auroc")
        {'auroc': 0.5, 'auroc_low': 0.4, 'auroc_high': 0.6}
        """
        return {key: self.value, f"{key}_low": self.low, f"{key}_high": self.high}


def auroc(scores: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """Compute the exact area under the ROC curve, ties counted half: P(positive above negative), in [0, 1].

    Args:
        scores: (n,) scores, higher is more anomalous; an array, a tensor, a series or a list.
        truth: (n,) bool, or 0 and 1, which are positive.

    Raises:
        DataError: Only one class, scores that are NaN, other truth than two values, or other lengths.

    >>> auroc(np.array([1.0, 2.0, 2.0, 3.0]), np.array([False, False, True, True]))
    0.875
    """
    positives, negatives = _both(scores, truth)
    # Mann & Whitney (1947): pairs in which the positive scores higher, and half of those that tie.
    higher = sum(int(np.searchsorted(negatives, positives, side=side).sum()) for side in ("left", "right"))
    return higher / (2 * len(positives) * len(negatives))


def average_precision(scores: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """Compute the exact average precision, in (0, 1]; at chance it equals the share of positives.

    Args:
        scores: See `auroc`.
        truth: See `auroc`.

    Raises:
        DataError: See `auroc`.

    >>> average_precision(np.array([1.0, 2.0, 3.0]), np.array([True, False, True]))  # precision 1 and 2/3
    0.8333333333333333
    """
    positives, negatives = _both(scores, truth)
    hits = len(positives) - np.searchsorted(positives, positives)  # that score at least as much as each positive
    alarms = len(negatives) - np.searchsorted(negatives, positives)
    return float((hits / (hits + alarms)).mean())


def _both(given: npt.ArrayLike, of_truth: npt.ArrayLike) -> tuple[Scores, Scores]:
    """Return rising scores of positives and of negatives; without argsort, which needs an array of n integers."""
    scores, truth = np.asarray(given), np.asarray(of_truth)
    if scores.shape != truth.shape:
        raise DataError(f"scores {scores.shape} and truth {truth.shape} must be of the same samples")
    if truth.dtype != np.bool_:
        if not np.isin(truth, (0, 1)).all():
            raise DataError(f"truth must be bool, or 0 and 1; got {truth.dtype}, for example {truth.ravel()[0]}")
        truth = truth.astype(np.bool_)
    positives, negatives = np.sort(scores[truth]), np.sort(scores[~truth])
    if not (len(positives) and len(negatives)):
        raise DataError(f"{len(positives)} of {np.size(truth)} samples are positive: ranking needs both classes")
    if np.isnan(positives[-1]) or np.isnan(negatives[-1]):  # sorted last
        raise DataError("scores that are NaN cannot be ranked")
    return positives, negatives


def auroc_with_interval(
    scores: Scores, truth: Truth, patients: Patients, resamples: int = 1000, seed: int = 0
) -> Interval:
    """Compute AUROC and its 95 % percentile bootstrap interval, patients drawn with replacement (Efron 1979).

    Patches of one radiograph, and radiographs of one patient, are not independent, so patients are drawn. Each patient
    enters as a histogram over bins of equal mass, so that a resample costs a matrix product, not a sort.

    Args:
        scores: (n,) higher is more anomalous.
        truth: (n,) bool, both values present.
        patients: (n,) patient of each sample.
        resamples: Number of bootstrap resamples; those without both classes are left out.
        seed: Seed of the resamples.

    >>> s = np.arange(100.0)
    >>> auroc_with_interval(s, s >= 50, np.arange(100))
    Interval(value=1.0, low=1.0, high=1.0)
    """
    owner, weights = draw_patients(patients, resamples, seed)
    return Interval(auroc(scores, truth), *interval_of(resampled_aurocs(scores, truth, owner, weights)))


def draw_patients(
    patients: Patients, resamples: int = 1000, seed: int = 0
) -> tuple[npt.NDArray[np.integer], npt.NDArray[np.float32]]:
    """Number the patients of n samples and draw resamples of them.

    Args:
        patients: (n,) patient of each sample.
        resamples: Number R of resamples.
        seed: Seed of the draws.

    Returns:
        (n,) number of each sample's patient, and (R, P) draws of the P patients, as in `resamples_of`.

    >>> owner, weights = draw_patients(np.array(["b", "a", "b"]), resamples=4)
    >>> owner.tolist(), weights.shape
    ([1, 0, 1], (4, 2))
    """
    if np.issubdtype(patients.dtype, np.integer) and patients.min() >= 0 and patients.max() < len(patients):
        # Counting is faster than sorting for millions of samples.
        number = np.cumsum(np.bincount(patients) > 0, dtype=np.int32) - 1
        owner = number[patients]
    else:
        owner = np.unique(patients, return_inverse=True)[1]
    return owner, resamples_of(int(owner.max()) + 1, resamples, seed)


def resamples_of(patients: int, resamples: int = 1000, seed: int = 0) -> npt.NDArray[np.float32]:
    """Return (R, P) numbers of draws of each patient; figures compared in pairs share one array.

    Args:
        patients: Number P of patients.
        resamples: Number R of resamples.
        seed: Seed of the draws.
    """
    rng = np.random.default_rng(seed)
    return rng.multinomial(patients, np.full(patients, 1 / patients), size=resamples).astype(np.float32)


def resampled_aurocs(
    scores: Scores, truth: Truth, owner: npt.NDArray[np.integer], weights: npt.NDArray[np.float32]
) -> npt.NDArray[np.float64]:
    """Compute the AUROC of every resample of the patients.

    Args:
        scores: (n,) higher is more anomalous.
        truth: (n,) bool.
        owner: (n,) number of each sample's patient, the column of `weights`.
        weights: (R, P) draws of each patient, from `resamples_of`.

    Returns:
        (R,) AUROCs in [0, 1]; NaN for a resample without both classes.
    """
    edges = np.unique(np.quantile(scores, np.linspace(0, 1, _BINS + 1)[1:-1]))
    n_bins, n_patients = len(edges) + 1, weights.shape[1]
    histograms = np.zeros((2, n_patients * n_bins), dtype=np.int64)
    for first in range(0, len(scores), _AT_ONCE):
        chunk = slice(first, first + _AT_ONCE)
        bins = owner[chunk] * n_bins + np.searchsorted(edges, scores[chunk], side="right")
        for histogram, chosen in zip(histograms, (truth[chunk], ~truth[chunk]), strict=True):
            histogram += np.bincount(bins[chosen], minlength=n_patients * n_bins)
    # Of few patients, the product of two matrices of patients is the smaller one; it counts pairs, beyond float32.
    few = n_patients < len(weights)
    counts: npt.NDArray[np.floating] = histograms.astype(np.float64 if few else np.float32)
    positive, negative = counts.reshape(2, n_patients, n_bins)
    below = np.cumsum(negative, axis=1) - negative / 2  # ties count half
    ranked = (weights @ (positive @ below.T)) * weights if few else (weights @ positive) * (weights @ below)
    pairs = (weights @ positive.sum(axis=1, dtype=np.float64)) * (weights @ negative.sum(axis=1, dtype=np.float64))
    with np.errstate(invalid="ignore"):
        return ranked.sum(axis=1, dtype=np.float64) / np.where(pairs > 0, pairs, np.nan)


def interval_of(values: Scores) -> tuple[float, float]:
    """Return the ends of the 95 % percentile interval; NaN resamples are left out."""
    tail = (1 - LEVEL) / 2
    known = values[~np.isnan(values)]
    low, high = np.quantile(known, [tail, 1 - tail]) if len(known) else (0.0, 1.0)
    return float(low), float(high)
