"""Oracle thresholds, chosen on the truth itself: upper bounds for any threshold rule, not results."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pneumo_ad.errors import DataError
from pneumo_ad.labels import HEALTHY, KINDS, OPACITY, OUTSIDE
from pneumo_ad.metrics.ranking import Scores, Truth

_GRID = 256  # number of quantiles of each kind's scores that are tried as cuts


class Best(NamedTuple):
    """Oracle: best value of a metric and its threshold; scores above the threshold are positive."""

    value: float
    threshold: float


class BestMacroF1(NamedTuple):
    """Oracle: best macro-F1 and its thresholds: healthy <= low < opacity <= high < outside."""

    value: float  # in [0, 1]
    low: float
    high: float


def best_dice(scores: Scores, truth: Truth) -> Best:
    """Compute the oracle Dice, which is F1: the best over all thresholds, chosen on the truth itself.

    Args:
        scores: (n,) higher is more anomalous.
        truth: (n,) bool.

    Returns:
        Dice in [0, 1]; any score reaches `dice_of_all`.

    Raises:
        DataError: No sample is positive.

    >>> best_dice(np.array([0.1, 0.2, 0.7, 0.9]), np.array([False, True, False, True])).value
    0.8
    """
    values, hits, alarms = _counts(scores, truth)
    return _best(scores, values, 2 * hits / (hits + alarms + hits[0]))


def dice_of_all(truth: Truth) -> float:
    """Compute the Dice, or F1, of calling every sample positive: what the oracle gives any score, a random one too.

    Args:
        truth: (n,) bool.

    >>> dice_of_all(np.array([False, True, True, True]))
    0.8571428571428571
    """
    return float(2 * truth.sum() / (truth.size + truth.sum()))


def best_balanced_accuracy(scores: Scores, truth: Truth) -> Best:
    """Compute the oracle balanced accuracy: the best over all thresholds, chosen on the truth itself.

    Args:
        scores: (n,) higher is more anomalous.
        truth: (n,) bool.

    Returns:
        Mean of sensitivity and specificity, in [0.5, 1]; a threshold below all scores gives 0.5.

    Raises:
        DataError: All samples are of one class.

    >>> best_balanced_accuracy(np.array([1.0, 2.0, 3.0, 4.0]), np.array([False, False, True, True])).value
    1.0
    """
    values, hits, alarms = _counts(scores, truth)
    negatives = int(np.size(truth) - hits[0])
    if not negatives:
        raise DataError(f"all {np.size(truth)} samples are positive: balanced accuracy needs both classes")
    return _best(scores, values, (hits / hits[0] + 1 - alarms / negatives) / 2)


def best_macro_f1(scores: Scores, kinds: npt.NDArray[np.integer]) -> BestMacroF1:
    """Compute the oracle macro-F1 of healthy < opacity < outside, with both thresholds chosen on the truth itself.

    All pairs of cuts at 256 quantiles of each kind's scores are tried; for a kind with at most 256 distinct scores,
    each score is a cut.

    Args:
        scores: Scores of patches, float, any shape; higher is more anomalous.
        kinds: True kinds (`labels.KINDS`), the same shape; other kinds are left out.

    Returns:
        Macro-F1 in [0, 1] with its thresholds.

    Raises:
        DataError: A kind has no patch.

    >>> best_macro_f1(np.array([1.0, 2.0, 3.0]), np.array([HEALTHY, OPACITY, OUTSIDE]))
    BestMacroF1(value=1.0, low=1.0, high=2.0)
    """
    per_kind = [scores[kinds == kind] for kind in (HEALTHY, OPACITY, OUTSIDE)]
    for kind, group in zip((HEALTHY, OPACITY, OUTSIDE), per_kind, strict=True):
        if not group.size:
            raise DataError(f"no {KINDS[kind]} patch: macro-F1 is over healthy, opacity and outside")
    cuts = np.unique(np.concatenate([_quantiles(group) for group in per_kind]))
    cuts = np.concatenate([np.nextafter(cuts[:1], -np.inf), cuts])  # one below all scores
    # Numbers of patches with scores up to each cut.
    healthy, opacity, outside = (np.searchsorted(np.sort(group), cuts, side="right") for group in per_kind)
    below, total = healthy + opacity + outside, sum(group.size for group in per_kind)
    f1_healthy = 2 * healthy / (healthy[-1] + below)
    f1_outside = 2 * (outside[-1] - outside) / (outside[-1] + total - below)
    between = opacity[None, :] - opacity[:, None]  # (low, high)
    f1_opacity = 2 * between / (opacity[-1] + below[None, :] - below[:, None]).clip(1)
    macro = np.triu(f1_healthy[:, None] + f1_opacity + f1_outside[None, :]) / 3
    low, high = np.unravel_index(np.argmax(macro), macro.shape)
    return BestMacroF1(float(macro[low, high]), float(cuts[low]), float(cuts[high]))


def _quantiles(scores: Scores) -> Scores:
    values = np.unique(scores)
    return values if len(values) <= _GRID else np.quantile(scores, np.linspace(0, 1, _GRID), method="lower")


def _counts(scores: Scores, truth: Truth) -> tuple[Scores, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the distinct scores of positives, ascending, and how many positives and negatives reach each.

    The best threshold lies just below such a score: between two of them, a higher one has fewer false positives.
    """
    positives, negatives = np.sort(scores[truth]), np.sort(scores[~truth])
    if not positives.size:
        raise DataError(f"none of {np.size(truth)} samples is positive: there is nothing to find")
    values, first = np.unique(positives, return_index=True)
    return values, len(positives) - first, len(negatives) - np.searchsorted(negatives, values)


def _best(scores: Scores, values: Scores, figures: npt.NDArray[np.float64]) -> Best:
    best = int(np.argmax(figures))
    # The next lower number in the dtype of the scores: the positive itself lies above the threshold.
    return Best(float(figures[best]), float(np.nextafter(values[best], -np.inf, dtype=scores.dtype)))
