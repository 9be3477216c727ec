"""Modality of a score distribution, one hump or several: the dip test and mixtures of one to four Gaussians."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.mixture import GaussianMixture

from pneumo_ad.errors import DataError
from pneumo_ad.metrics.conformal import p_values
from pneumo_ad.metrics.ranking import Scores

LEAST = 30  # values; a hump of fewer than ten is chance
_TESTED = 1000  # values that the dip test compares with the uniform
_FITTED = 5000  # values that mixtures are fitted to


class DipTest(NamedTuple):
    """Dip test: `dip` in [0, 1/4], higher is further from one hump; `p` in (0, 1], small refutes one hump."""

    dip: float
    p: float


def modality(values: Scores) -> dict[str, float]:
    """Compute the modality of a sample of scores, as figures for `metrics.json`.

    Args:
        values: Scores, any shape; the mixtures need positive ones.

    Returns:
        `dip`, `dip_p` (`dip_test`), `bic_1` to `bic_4` (`mixture_bics`) and `components`, the number of Gaussians of
        the least BIC. The two need not agree: the dip tests for humps in the histogram of the scores, while two
        Gaussians close together, or one skewed hump, make a second component without a second hump.

    Raises:
        DataError: Fewer than 30 values, all equal, or some not finite.

    >>> found = modality(np.exp(np.random.default_rng(0).normal([0, 3, 6], 0.3, (200, 3))))
    >>> found["dip_p"] < 0.01, found["components"]
    (True, 3)
    """
    tested, bics = dip_test(values), mixture_bics(values)
    return {
        "dip": tested.dip,
        "dip_p": tested.p,
        **{f"bic_{n}": bic for n, bic in bics.items()},
        "components": min(bics, key=bics.__getitem__),
    }


def dip(values: Scores) -> float:
    """Compute the largest distance between the empirical distribution and the nearest unimodal one.

    Hartigan & Hartigan (1985, Annals of Statistics): wherever the mode lies, the distribution function is convex below
    it and concave above. The interval that holds the mode is narrowed between the greatest convex minorant and the
    least concave majorant; the largest deviation outside it bounds the distance from below. Values may be tied.

    Args:
        values: Any shape, at least two different values.

    Returns:
        Dip in [1 / (2n), 1/4]; it does not depend on the unit and origin of the values.

    >>> float(dip(np.arange(10.0)))  # 1 / (2n), as even as ten values can be
    0.05
    >>> float(dip(np.repeat([0.0, 1.0], 50)))
    0.25
    """
    x, counts = np.unique(np.asarray(values, dtype=np.float64), return_counts=True)
    until = np.cumsum(counts).astype(np.float64)  # counts, not shares, so that sums are exact
    before = until - counts
    back = _links(x, before)
    on = len(x) - 1 - _links(-x[::-1], -until[::-1])[::-1]  # a rotation by 180° makes the majorant a minorant
    low, high = 0, len(x) - 1
    tube = 1.0  # twice the distance, in values
    while True:
        convex = _walk(back, high, low)[::-1]
        concave = _walk(on, low, high)
        touches = np.union1d(convex, concave)
        above = np.interp(x[touches], x[concave], until[concave])
        below = np.interp(x[touches], x[convex], before[convex])
        widest = touches[np.argmax(above - below)]
        inner_low = int(convex[convex <= widest][-1])
        inner_high = int(concave[concave >= widest][0])
        if (above - below).max() <= tube or (inner_low, inner_high) == (low, high):
            return float(tube / (2 * until[-1]))
        left, right = slice(low, inner_low), slice(inner_high + 1, high + 1)
        outside = np.concatenate([
            until[left] - np.interp(x[left], x[convex], before[convex]),
            np.interp(x[right], x[concave], until[concave]) - before[right],
        ])  # fmt: skip
        tube = max(tube, outside.max())
        low, high = inner_low, inner_high


def dip_test(values: Scores, resamples: int = 500, seed: int = 0) -> DipTest:
    """Compute the dip, and as its p-value the share of uniform samples (the flattest unimodal law) with as large a dip.

    The test compares at most 1,000 order statistics at even ranks with uniform samples of the same number, while the
    dip is that of all values. Windows of a radiograph overlap and are not independent: 150,000 of them would call
    every ripple of a histogram a hump. With 1,000, a small p means a hump that a reader can see.

    Args:
        values: Scores, any shape.
        resamples: Number of uniform samples; p is at least 1 / (resamples + 1).
        seed: Seed of the uniform samples.

    Raises:
        DataError: Fewer than 30 values, all equal, or some not finite.
    """
    ordered = _ordered(values)
    tested = _even_ranks(ordered, _TESTED)
    by_chance = _uniform_dips(len(tested), resamples, seed)
    return DipTest(dip(ordered), float(p_values(np.array(dip(tested)), by_chance)))


def one_hump(p: float) -> bool:
    """Whether a single hump is not refuted at the usual level of 5 %.

    Args:
        p: p-value of `dip_test`.

    >>> one_hump(0.4), one_hump(0.01)
    (True, False)
    """
    return p >= 0.05


def mixture_bics(values: Scores, most: int = 4, seed: int = 0) -> dict[int, float]:
    """Compute the Bayesian information criterion (Schwarz 1978) of mixtures of 1 to `most` Gaussians; lower is better.

    Fitted to the logarithm of positive scores, as `threshold=mixture` does: their long right tail would otherwise take
    up components. At most 5,000 order statistics at even ranks are fitted: a criterion that
    grows with the number of values would otherwise buy a component for every ripple of 150,000 overlapping windows.

    Args:
        values: Scores, any shape; see `unskewed`.
        most: Largest number of components.
        seed: Seed of the k-means start.

    Returns:
        Number of components -> criterion; no more components than there are different values.

    Raises:
        DataError: Fewer than 30 values, all equal, or some not finite.
    """
    scaled = unskewed(_even_ranks(_ordered(values), _FITTED))[0][:, None]
    most = min(most, len(np.unique(scaled)))  # k-means cannot start from fewer points than components
    return {
        n: float(GaussianMixture(n, random_state=seed, n_init=3).fit(scaled).bic(scaled)) for n in range(1, most + 1)
    }


def unskewed(scores: Scores) -> tuple[npt.NDArray[np.float64], Callable[[Any], Any]]:
    """Return scores on the scale on which they are divided, the same shape, and the function back from it.

    Positive scores have a long right tail: the natural logarithm, clipped below at 1e-6. Scores of either sign
    (`score=judgement_in_lung`) have no logarithm and stay as they are.

    >>> values, back = unskewed(np.array([1.0, 100.0]))
    >>> back(values.mean()).round(6).item(), unskewed(np.array([-1.0, 2.0]))[0].tolist()
    (10.0, [-1.0, 2.0])
    """
    if np.min(scores) < 0:
        return np.asarray(scores, dtype=np.float64), np.asarray
    return np.log(np.maximum(scores, 1e-6)), np.exp


def _ordered(values: Scores) -> npt.NDArray[np.float64]:
    ordered = np.sort(np.asarray(values, dtype=np.float64), axis=None)
    if len(ordered) < LEAST:
        raise DataError(f"{len(ordered)} values are too few to tell one hump from several; {LEAST} are needed")
    if not np.isfinite(ordered).all():
        raise DataError(f"{(~np.isfinite(ordered)).sum()} of {len(ordered)} values are not finite")
    if ordered[0] == ordered[-1]:
        raise DataError(f"all {len(ordered)} values are {ordered[0]:g}: one hump or several is asked of different ones")
    return ordered


def _even_ranks(ordered: npt.NDArray[np.float64], most: int) -> npt.NDArray[np.float64]:
    """Return `most` of the ordered values, the middle one of each group of equal size; all where there are fewer."""
    n = min(most, len(ordered))
    return ordered[((np.arange(n) + 0.5) * len(ordered) / n).astype(np.int64)]


@lru_cache(maxsize=8)
def _uniform_dips(n: int, resamples: int, seed: int) -> npt.NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    return np.array([dip(rng.random(n)) for _ in range(resamples)])


def _links(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return each point's predecessor on the greatest convex minorant of the points up to it (Andrew 1979)."""
    xs, ys = x.tolist(), y.tolist()  # lists, for a loop over single numbers
    links = [0] * len(xs)
    for k in range(1, len(xs)):
        j = k - 1
        while j and (ys[j] - ys[links[j]]) * (xs[k] - xs[j]) >= (ys[k] - ys[j]) * (xs[j] - xs[links[j]]):
            j = links[j]
        links[k] = j
    return np.array(links)


def _walk(links: npt.NDArray[np.int64], start: int, end: int) -> npt.NDArray[np.int64]:
    steps = [start]
    while steps[-1] != end:
        steps.append(int(links[steps[-1]]))
    return np.array(steps)
