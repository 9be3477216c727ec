"""The three kinds of patch of the paper's Table 1, from truth masks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sklearn.metrics import confusion_matrix, f1_score

from pneumo_ad.labels import HEALTHY, MIXED, OPACITY, OUTSIDE

_OPACITY_SHARE = 0.5
_LUNG_SHARE = 0.9
_OUTSIDE_SHARE = 0.05


def true_kinds(lung: npt.NDArray[np.floating], opacity: npt.NDArray[np.floating]) -> npt.NDArray[np.int8]:
    """Return the kind of each window from its shares of lung and opacity pixels.

    *opacity*: more than half is opacity; *healthy lung*: more than 90 % is lung and none is opacity; *outside*: less
    than 5 % is lung; *mixed*: the rest.

    Args:
        lung: Share of lung pixels, in [0, 1], any shape.
        opacity: Share of opacity pixels, in [0, 1], the same shape.

    Returns:
        int8 index into `labels.KINDS`, the same shape.

    >>> from pneumo_ad.labels import KINDS
    >>> [KINDS[k] for k in true_kinds(np.array([1, 1, 0.0, 0.5]), np.array([0, 0.6, 0, 0]))]
    ['healthy', 'opacity', 'outside', 'mixed']
    """
    kinds = np.full(lung.shape, MIXED, dtype=np.int8)
    kinds[lung < _OUTSIDE_SHARE] = OUTSIDE
    kinds[(lung > _LUNG_SHARE) & (opacity == 0)] = HEALTHY
    kinds[opacity > _OPACITY_SHARE] = OPACITY
    return kinds


def macro_f1(true: npt.NDArray[np.integer], predicted: npt.NDArray[np.integer]) -> float:
    """Compute the mean F1 of healthy, opacity and outside, in [0, 1], over patches that truly are one of these kinds.

    A kind that is never predicted counts 0.

    Args:
        true: (n,) true kinds, index into `labels.KINDS`.
        predicted: (n,) predicted kinds, as in `true`.
    """
    known = true <= OUTSIDE
    labels = [HEALTHY, OPACITY, OUTSIDE]
    return float(f1_score(true[known], predicted[known], labels=labels, average="macro", zero_division=0))


def confusion(true: npt.NDArray[np.integer], predicted: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """Count patches by true and predicted kind, over patches that truly are healthy, opacity or outside.

    Args:
        true: (n,) true kinds, index into `labels.KINDS`.
        predicted: (n,) predicted kinds, as in `true`.

    Returns:
        (3, 3) int64, a row per true kind, in the order of `labels.KINDS`.

    >>> confusion(np.array([0, 1, 1, 3]), np.array([0, 1, 2, 0])).tolist()
    [[1, 0, 0], [0, 1, 1], [0, 0, 0]]
    """
    known = true <= OUTSIDE
    if not known.any():
        return np.zeros((3, 3), dtype=np.int64)
    counts: npt.NDArray[np.int64] = confusion_matrix(true[known], predicted[known], labels=[HEALTHY, OPACITY, OUTSIDE])
    return counts
