"""Agreement of clusters, fitted without labels, with the true kinds of patch.

Only windows that truly are healthy lung, opacity or outside count; mixed windows, padding and windows without masks are
left out, as in `macro_f1`. Clusters are numbered 0, 1, 2.
"""

from __future__ import annotations

from itertools import permutations
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score

from pneumo_ad.labels import OUTSIDE
from pneumo_ad.metrics.ranking import Interval, draw_patients, interval_of

CLUSTERS = 3  # as many as there are kinds


class Agreement(NamedTuple):
    """Agreement of clusters with kinds, with 95 % intervals by patient.

    Attributes:
        adjusted_rand: Adjusted Rand index (Hubert & Arabie 1985).
        best_match_macro_f1: Macro-F1 under the best match (function `best_match_macro_f1`).
    """

    adjusted_rand: Interval
    best_match_macro_f1: Interval


def adjusted_rand(true: npt.NDArray[np.integer], found: npt.NDArray[np.integer]) -> float:
    """Compute the adjusted Rand index (Hubert & Arabie 1985): 1 where clusters are the kinds, 0 on average by chance.

    Args:
        true: (n,) kinds of windows (`labels.KINDS`).
        found: (n,) clusters.

    >>> adjusted_rand(np.array([0, 0, 1, 2, 3]), np.array([2, 2, 0, 1, 0]))  # the last is mixed: left out
    1.0
    """
    known = true <= OUTSIDE
    return float(adjusted_rand_score(true[known], found[known]))


def best_match(true: npt.NDArray[np.integer], found: npt.NDArray[np.integer]) -> tuple[int, ...]:
    """Assign a kind to each cluster such that macro-F1 is highest: an oracle, chosen on the truth.

    The F1 of (kind, cluster) does not depend on the other clusters, so that the best permutation is an assignment
    problem (Kuhn 1955).

    Args:
        true: (n,) kinds of windows (`labels.KINDS`).
        found: (n,) clusters.

    Returns:
        Kind by cluster: a permutation of healthy, opacity and outside.

    >>> best_match(np.array([0, 0, 1, 2]), np.array([2, 2, 0, 1]))
    (1, 2, 0)
    """
    clusters, kinds = linear_sum_assignment(_f1(_table(true, found)).T, maximize=True)
    assert list(clusters) == list(range(CLUSTERS))
    return tuple(int(kind) for kind in kinds)


def best_match_macro_f1(true: npt.NDArray[np.integer], found: npt.NDArray[np.integer]) -> float:
    """Compute `macro_f1` under `best_match`, in [0, 1]: an upper bound for any assignment without the truth.

    Args:
        true: (n,) kinds of windows (`labels.KINDS`).
        found: (n,) clusters.

    >>> best_match_macro_f1(np.array([0, 0, 1, 2]), np.array([2, 2, 0, 1]))
    1.0
    """
    return float(_best_macro_f1(_table(true, found)))


def agreement(
    true: npt.NDArray[np.integer],
    found: npt.NDArray[np.integer],
    patients: npt.NDArray[np.integer],
    resamples: int = 1000,
    seed: int = 0,
) -> Agreement:
    """Compute both figures with 95 % percentile bootstrap intervals, patients drawn with replacement (Efron 1979).

    A patient enters as a table of kinds by clusters, on which alone both figures depend. The match is recomputed for
    each resample.

    Args:
        true: (n,) kinds of windows (`labels.KINDS`).
        found: (n,) clusters.
        patients: (n,) patient of each window.
        resamples: Number of bootstrap resamples.
        seed: Seed of the resamples.
    """
    known = true <= OUTSIDE
    owner, weights = draw_patients(patients[known], resamples, seed)
    number = weights.shape[1]
    cell = (owner * CLUSTERS + true[known].astype(np.int64)) * CLUSTERS + found[known]
    each = np.bincount(cell, minlength=number * CLUSTERS**2).reshape(number, -1)
    drawn = (weights @ each).reshape(-1, CLUSTERS, CLUSTERS)
    return Agreement(
        Interval(adjusted_rand(true, found), *interval_of(_adjusted_rand(drawn))),
        Interval(best_match_macro_f1(true, found), *interval_of(_best_macro_f1(drawn))),
    )


def _table(true: npt.NDArray[np.integer], found: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
    """Count windows by kind and cluster: (kinds, clusters)."""
    known = true <= OUTSIDE
    assert not known.any() or found[known].max() < CLUSTERS, found[known].max()
    cell = true[known].astype(np.int64) * CLUSTERS + found[known]
    return np.bincount(cell, minlength=CLUSTERS**2).reshape(CLUSTERS, CLUSTERS).astype(np.float64)


def _f1(tables: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Compute F1 of each cluster as each kind from (..., kinds, clusters) counts; 0 where neither has a window."""
    either = tables.sum(axis=-1, keepdims=True) + tables.sum(axis=-2, keepdims=True)
    return 2 * tables / np.where(either > 0, either, 1)


def _best_macro_f1(tables: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    f1 = _f1(tables)
    kinds = np.arange(CLUSTERS)
    return np.max([f1[..., kinds, list(order)].mean(axis=-1) for order in permutations(kinds)], axis=0)


def _adjusted_rand(tables: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Compute (R,) indices from (R, kinds, clusters) counts; NaN for a resample of one kind and one cluster."""

    def pairs(counts: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        counts = counts.astype(np.float64)
        return counts * (counts - 1) / 2

    together = pairs(tables).sum(axis=(1, 2))
    kinds, clusters = (pairs(tables.sum(axis=axis)).sum(axis=1) for axis in (2, 1))
    chance = kinds * clusters / pairs(tables.sum(axis=(1, 2)))
    most = (kinds + clusters) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return (together - chance) / np.where(most > chance, most - chance, np.nan)
