"""Precision-recall curves as counts at thresholds that are quantiles of the scores."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pneumo_ad.metrics.ranking import Scores, Truth

POINTS = 101  # thresholds: the quantiles 0, 0.01, ..., 1; TensorBoard draws 127 at most


def counts_at_quantiles(scores: Scores, truth: Truth, points: int = POINTS) -> npt.NDArray[np.int64]:
    """Count hits and alarms at thresholds that are evenly spaced quantiles of all scores, a score at it included.

    Quantiles need no scale of the score: threshold 0.9 of the curve calls the highest tenth.

    Args:
        scores: (n,) scores, higher is more anomalous.
        truth: (n,) bool, which are positive; n is at least 1.
        points: Number T of thresholds.

    Returns:
        (4, T) int64 true positives, false positives, true negatives, false negatives.

    >>> counts_at_quantiles(np.array([1.0, 2.0, 3.0]), np.array([True, False, True]), points=3).tolist()
    [[2, 1, 1], [1, 1, 0], [0, 0, 1], [0, 1, 1]]
    """
    thresholds = np.sort(scores)[(np.linspace(0, 1, points) * (len(scores) - 1)).astype(np.int64)]
    positives, negatives = np.sort(scores[truth]), np.sort(scores[~truth])
    missed, rejected = np.searchsorted(positives, thresholds), np.searchsorted(negatives, thresholds)
    return np.stack([len(positives) - missed, len(negatives) - rejected, rejected, missed])
