"""Two thresholds split patches into three kinds (the paper's § 3.3, Table 1): healthy < opacity < outside."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from skimage.filters import threshold_multiotsu
from sklearn.mixture import GaussianMixture as _Mixture

from pneumo_ad.errors import ConfigError, DataError
from pneumo_ad.metrics.kinds import HEALTHY, OPACITY, OUTSIDE

Scores = npt.NDArray[np.floating]


class Thresholds(NamedTuple):
    """`score <= low`: healthy lung; `low < score <= high`: opacity; above: outside. In units of the score."""

    low: float
    high: float

    def classify(self, scores: Scores) -> npt.NDArray[np.int8]:
        """Any shape of scores -> kinds of the same shape."""
        return np.where(scores <= self.low, HEALTHY, np.where(scores <= self.high, OPACITY, OUTSIDE)).astype(np.int8)


class Threshold(Protocol):
    """A rule: scores of validation patches in, thresholds out; no truth is seen.

    Args of `fit`:
        normal_lung: (n,) patches wholly inside normal lungs.
        pneumonia: (m,) every window of pneumonia radiographs.
    """

    def fit(self, normal_lung: Scores, pneumonia: Scores) -> Thresholds:
        """Scores of any shape -> thresholds."""


def _check(scores: Scores, least: int, whose: str) -> Scores:
    scores = np.asarray(scores, dtype=np.float64).ravel()
    if len(scores) < least or np.ptp(scores) == 0:
        raise DataError(
            f"thresholds need at least {least} {whose} scores that are not all equal; there are {len(scores)}"
            f"{'' if len(scores) < least else ', all equal'}"
        )
    return scores


class MultiOtsu:
    """Three classes of least variance within (Otsu 1979; Liao et al. 2001) on the scores of pneumonia patches.

    The logarithm is cut, because scores are positive with a long right tail, which would get a class of its own.

    Args:
        bins: Of the histogram.

    >>> low, high = MultiOtsu().fit(np.ones(1), np.repeat([1.0, 10.0, 100.0], 50) * np.linspace(0.9, 1.1, 150))
    >>> 0.96 < low < 9.7 and 10.3 < high < 103
    True
    """

    def __init__(self, bins: int = 256) -> None:
        self.bins = bins

    def fit(self, normal_lung: Scores, pneumonia: Scores) -> Thresholds:
        """See `Threshold`.

        Raises:
            DataError: Fewer than 3 different scores.
        """
        scores = np.log(np.maximum(_check(pneumonia, 3, "pneumonia"), 1e-6))
        try:
            centres = threshold_multiotsu(scores, classes=3, nbins=self.bins)
            low, high = np.exp(centres + np.ptp(scores) / self.bins / 2)  # the end of the last bin that belongs below
        except ValueError as reason:
            raise DataError(f"no three classes in {len(scores)} pneumonia scores ({reason})") from reason
        return Thresholds(float(low), float(high))


class GaussianMixture:
    """Three Gaussians on the logarithm of the scores of pneumonia patches, cut where the likelier one changes.

    Args:
        seed: Of the k-means start.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def fit(self, normal_lung: Scores, pneumonia: Scores) -> Thresholds:
        """See `Threshold`.

        Raises:
            DataError: Fewer than 30 scores, or than 3 different ones.
        """
        scores = np.log(np.maximum(_check(pneumonia, 30, "pneumonia"), 1e-6))
        if len(np.unique(scores)) < 3:
            raise DataError(f"no three classes in {len(scores)} pneumonia scores (fewer than 3 different ones)")
        mixture = _Mixture(3, random_state=self.seed, n_init=3).fit(scores[:, None])
        order = np.argsort(mixture.means_.ravel())
        # Between two means the likelier component changes once; a grid is exact enough and cannot fail to converge.
        means = mixture.means_.ravel()[order]
        cuts = []
        for below, above in ((0, 1), (1, 2)):
            grid = np.linspace(means[below], means[above], 1001)
            posterior = mixture.predict_proba(grid[:, None])[:, order]
            cuts.append(grid[int(np.argmax(posterior[:, above] >= posterior[:, below]))])
        return Thresholds(*np.exp(cuts).tolist())


class NormalQuantiles:
    """Quantiles of held-out normal lung: at most 1 - q of normal patches lie above.

    Args:
        low: Quantile above which a patch is an opacity.
        high: Quantile above which it is outside the lung.

    Raises:
        ConfigError: Quantiles that do not rise within [0, 1].
    """

    def __init__(self, low: float = 0.95, high: float = 0.99) -> None:
        if not 0 <= low < high <= 1:
            raise ConfigError(f"low={low} and high={high} must rise within [0, 1]")
        self.low, self.high = low, high

    def fit(self, normal_lung: Scores, pneumonia: Scores) -> Thresholds:
        """See `Threshold`.

        Raises:
            DataError: Too few scores for the upper quantile.
        """
        # With fewer than 1 / (1 - q) samples the quantile would be the maximum in disguise.
        least = int(np.ceil(1 / (1 - self.high) - 1e-9)) if self.high < 1 else 2
        scores = _check(normal_lung, least, "normal-lung")
        low, high = np.quantile(scores, [self.low, self.high])
        return Thresholds(float(low), float(high))
