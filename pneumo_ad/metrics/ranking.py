"""AUROC and average precision with intervals by patient."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score, roc_auc_score

_BINS = 4096  # of equal mass: on such a grid AUROC is exact to about 1e-5
LEVEL = 0.95


class Interval(NamedTuple):
    """A figure and its 95 % interval.

    Attributes:
        value: The figure itself.
        low: Lower end.
        high: Upper end.
    """

    value: float
    low: float
    high: float

    def keyed(self, key: str) -> dict[str, float]:
        """As `metrics.json` has it: the figure under `key`, its ends under `<key>_low` and `<key>_high`.

        >>> Interval(0.5, 0.4, 0.6).keyed("auroc")
        {'auroc': 0.5, 'auroc_low': 0.4, 'auroc_high': 0.6}
        """
        return {key: self.value, f"{key}_low": self.low, f"{key}_high": self.high}


def auroc(scores: npt.NDArray[np.floating], truth: npt.NDArray[np.bool_]) -> float:
    """Area under the ROC curve, exact, ties counted half: chance that a positive scores above a negative, in [0, 1].

    Args:
        scores: (n,) scores, higher is more anomalous.
        truth: (n,) bool, which are positive.
    """
    return float(roc_auc_score(truth, scores))


def average_precision(scores: npt.NDArray[np.floating], truth: npt.NDArray[np.bool_]) -> float:
    """Average precision, exact; at chance it equals the share of positives.

    Args:
        scores: (n,) scores, higher is more anomalous.
        truth: (n,) bool, which are positive.
    """
    return float(average_precision_score(truth, scores))


def auroc_with_interval(
    scores: npt.NDArray[np.floating],
    truth: npt.NDArray[np.bool_],
    patients: npt.NDArray[np.integer] | npt.NDArray[np.str_],
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """AUROC and its 95 % percentile bootstrap interval, patients drawn with replacement (Efron 1979).

    Patches of one radiograph, and radiographs of one patient, are not independent: the patient is what is drawn.
    Each patient enters as a histogram over bins of equal mass, so that a resample costs a matrix product, not a sort.

    Args:
        scores: (n,) higher is more anomalous.
        truth: (n,) bool, both values present.
        patients: (n,) whose sample it is.
        resamples: Number of bootstrap resamples; those without both classes are left out.
        seed: Fixes the resamples.

    >>> s = np.arange(100.0)
    >>> auroc_with_interval(s, s >= 50, np.arange(100))
    Interval(value=1.0, low=1.0, high=1.0)
    """
    owner, weights = draw_patients(patients, resamples, seed)
    return Interval(auroc(scores, truth), *interval_of(resampled_aurocs(scores, truth, owner, weights)))


def draw_patients(
    patients: npt.NDArray[np.integer] | npt.NDArray[np.str_], resamples: int = 1000, seed: int = 0
) -> tuple[npt.NDArray[np.integer], npt.NDArray[np.float32]]:
    """Number the patients of (n,) samples and draw them: (n,) the column of each sample's patient, and the draws.

    Args:
        patients: (n,) whose each sample is.
        resamples: Number of draws.
        seed: Fixes the draws.

    >>> owner, weights = draw_patients(np.array(["b", "a", "b"]), resamples=4)
    >>> owner.tolist(), weights.shape
    ([1, 0, 1], (4, 2))
    """
    _, owner = np.unique(patients, return_inverse=True)
    return owner, resamples_of(int(owner.max()) + 1, resamples, seed)


def resamples_of(patients: int, resamples: int = 1000, seed: int = 0) -> npt.NDArray[np.float32]:
    """(resamples, patients) how often each patient is drawn: one draw serves all that is to be compared in pairs.

    Args:
        patients: How many there are.
        resamples: Number of draws.
        seed: Fixes the draws.
    """
    rng = np.random.default_rng(seed)
    return rng.multinomial(patients, np.full(patients, 1 / patients), size=resamples).astype(np.float32)


def resampled_aurocs(
    scores: npt.NDArray[np.floating],
    truth: npt.NDArray[np.bool_],
    owner: npt.NDArray[np.integer],
    weights: npt.NDArray[np.float32],
) -> npt.NDArray[np.float64]:
    """AUROC of every resample of the patients.

    Args:
        scores: (n,) higher is more anomalous.
        truth: (n,) bool.
        owner: (n,) number of the patient whose sample it is, the column of `weights`.
        weights: (R, P) from `resamples_of`.

    Returns:
        (R,) in [0, 1]; NaN for a resample without both classes.
    """
    edges = np.unique(np.quantile(scores, np.linspace(0, 1, _BINS + 1)[1:-1]))
    bins = np.searchsorted(edges, scores, side="right")
    n_bins, n_patients = len(edges) + 1, weights.shape[1]
    histograms = [
        np.bincount(owner[chosen] * n_bins + bins[chosen], minlength=n_patients * n_bins).reshape(n_patients, n_bins)
        for chosen in (truth, ~truth)
    ]
    positive, negative = (weights @ histogram.astype(np.float32) for histogram in histograms)
    below = np.cumsum(negative, axis=1, dtype=np.float64) - negative / 2
    pairs = positive.sum(axis=1, dtype=np.float64) * negative.sum(axis=1, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        return (positive * below).sum(axis=1) / np.where(pairs > 0, pairs, np.nan)


def interval_of(values: npt.NDArray[np.floating]) -> tuple[float, float]:
    """Low and high end of the 95 % percentile interval; resamples that are NaN are left out."""
    tail = (1 - LEVEL) / 2
    known = values[~np.isnan(values)]
    low, high = np.quantile(known, [tail, 1 - tail]) if len(known) else (0.0, 1.0)
    return float(low), float(high)
