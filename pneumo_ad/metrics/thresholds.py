"""Thresholds that split patches into kinds (the paper's § 3.3, Table 1): two for healthy < opacity < outside.

One threshold separates opacity from the rest, for scores that do not order windows outside the lung
(`Score.orders_outside`). A net that classifies the kinds itself needs none: a window is of its likeliest kind
(`LikeliestKind`).
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from skimage.filters import threshold_multiotsu
from sklearn.mixture import GaussianMixture as _Mixture

from pneumo_ad.errors import ConfigError, DataError
from pneumo_ad.labels import HEALTHY, OPACITY, OUTSIDE
from pneumo_ad.metrics.conformal import _ROUNDING, conformal_threshold, least_normals
from pneumo_ad.metrics.modality import unskewed
from pneumo_ad.metrics.ranking import Scores

Kinds = npt.NDArray[np.int8]

_WORDS = {2: "two", 3: "three"}
_PLAIN = "likeliest"  # in JSON, where others have numbers


class Thresholds(NamedTuple):
    """Thresholds in units of the score: up to `low` healthy lung, up to `high` opacity, above it outside.

    Without `high` there are two kinds: opacity above `low`, and the rest, which has the index of healthy lung.

    >>> Thresholds(1.0).classify(np.array([0.5, 2.0, 9.0])).tolist(), Thresholds(1.0).finite
    ([0, 1, 1], [1.0])
    """

    low: float
    high: float = math.inf

    @property
    def finite(self) -> list[float]:
        """The one or two finite thresholds, rising."""
        return [self.low, self.high] if self.tell_outside else [self.low]

    @property
    def kinds(self) -> tuple[int, ...]:
        """The two or three of `labels.KINDS` that can be predicted."""
        return (HEALTHY, OPACITY, OUTSIDE) if self.tell_outside else (HEALTHY, OPACITY)

    @property
    def words(self) -> tuple[str, ...]:
        """Names of the kinds, rising, templates of `labels.Vocabulary.fill`.

        Without a threshold for outside, the lowest kind need not lie in the region.
        """
        return ("{healthy}", "{anomaly}", "outside") if self.tell_outside else ("not {anomaly}", "{anomaly}")

    @property
    def tell_outside(self) -> bool:
        """Whether there are three kinds, with outside among them."""
        return not math.isinf(self.high)

    @property
    def plain(self) -> list[float] | str:
        """JSON form of the thresholds; `thresholds_of` reads it."""
        return self.finite

    def classify(self, scores: Scores, likeliest: Kinds | None = None) -> Kinds:
        """Return the kind of each window, int8, the shape of `scores`.

        Args:
            scores: Scores of windows, any shape.
            likeliest: Likeliest kind of each window by the net, the same shape; None where not computed.
        """
        return np.where(scores <= self.low, HEALTHY, np.where(scores <= self.high, OPACITY, OUTSIDE)).astype(np.int8)


class LikeliestKinds(Thresholds):
    """Kinds by the net's likeliest kind alone; its thresholds separate kinds and do not apply to the score.

    >>> LIKELIEST.classify(np.array([0.1, 0.9]), np.array([2, 0])).tolist(), LIKELIEST.finite, LIKELIEST.words
    ([2, 0], [], ('{healthy}', '{anomaly}', 'outside'))
    """

    @property
    def finite(self) -> list[float]:
        """Empty: no threshold lies on the axis of the score."""
        return []

    @property
    def plain(self) -> list[float] | str:
        """See `Thresholds`."""
        return _PLAIN

    def classify(self, scores: Scores, likeliest: Kinds | None = None) -> Kinds:
        """See `Thresholds`."""
        assert likeliest is not None, "no likeliest kinds: the net was not asked for them"
        return likeliest


LIKELIEST = LikeliestKinds((HEALTHY + OPACITY) / 2, (OPACITY + OUTSIDE) / 2)


def thresholds_of(plain: list[float] | str) -> Thresholds:
    """Parse the JSON form of `Thresholds.plain`.

    Args:
        plain: One or two numbers that rise, or the word for `LIKELIEST`.

    Raises:
        ValueError: The value is neither.

    >>> thresholds_of([0.5]), thresholds_of("likeliest") is LIKELIEST
    (Thresholds(low=0.5, high=inf), True)
    """
    if plain == _PLAIN:
        return LIKELIEST
    if isinstance(plain, list) and len(plain) in (1, 2) and all(isinstance(one, int | float) for one in plain):
        return Thresholds(*plain)
    raise ValueError(f"{str(plain)[:80]}, expected one number or two, or {_PLAIN}")


class Threshold(Protocol):
    """Threshold rule: from scores of validation patches to thresholds, without truth masks.

    A rule may also have `fit_one`, with the same arguments, for the threshold of opacity alone (`fit_kinds`).

    Args of `fit`:
        normal_lung: (n,) scores of patches wholly inside normal lungs.
        pneumonia: (m,) scores of every window of pneumonia radiographs.
    """

    def fit(self, normal_lung: Scores, pneumonia: Scores) -> Thresholds:
        """Fit the thresholds.

        Args:
            normal_lung: Scores of windows of normal lung, any shape.
            pneumonia: Scores of windows of pneumonia radiographs, any shape.
        """


def fit_kinds(rule: Threshold, normal_lung: Scores, pneumonia: Scores, three: bool) -> Thresholds:
    """Fit thresholds between two or three kinds, as the score allows.

    Args:
        rule: Threshold rule. For two kinds, a rule without `fit_one` gives the lower of its two thresholds.
        normal_lung: (n,) scores, see `Threshold`.
        pneumonia: (m,) scores, see `Threshold`.
        three: Whether the score orders three kinds (`Score.orders_outside`), or only opacity above the rest.

    >>> fit_kinds(NormalQuantiles(0.5, 0.9), np.arange(11.0), np.zeros(0), three=False)
    Thresholds(low=5.0, high=inf)
    """
    if three or isinstance(rule, LikeliestKind):  # kinds come from the net, not from the order of scores
        return rule.fit(normal_lung, pneumonia)
    fit_one = getattr(rule, "fit_one", None)
    return Thresholds(fit_one(normal_lung, pneumonia) if fit_one else rule.fit(normal_lung, pneumonia).low)


def _check(scores: Scores, least: int, whose: str) -> Scores:
    scores = np.asarray(scores, dtype=np.float64).ravel()
    if len(scores) < least or np.ptp(scores) == 0:
        raise DataError(
            f"thresholds need at least {least} {whose} scores that are not all equal; there are {len(scores)}"
            f"{'' if len(scores) < least else ', all equal'}"
        )
    return scores


class _Cuts:
    """Base of rules that find one threshold or two by the same method, `_cuts`."""

    def fit(self, normal_lung: Scores, pneumonia: Scores) -> Thresholds:
        """See `Threshold`.

        Raises:
            DataError: Too few scores for the rule, or all equal.
        """
        return Thresholds(*self._cuts(normal_lung, pneumonia, 3))

    def fit_one(self, normal_lung: Scores, pneumonia: Scores) -> float:
        """Fit the threshold of opacity alone; see `Threshold`.

        Raises:
            DataError: See `fit`; fewer scores may suffice.
        """
        return self._cuts(normal_lung, pneumonia, 2)[0]

    def _cuts(self, normal_lung: Scores, pneumonia: Scores, kinds: int) -> list[float]:
        """Return the `kinds - 1` thresholds between kinds, rising."""
        raise NotImplementedError


class Fixed(_Cuts):
    """Thresholds known beforehand, for scores with a fixed scale (`score=expected_kind`).

    Args:
        low: Score above which a patch is an opacity.
        high: Score above which a patch is outside the lung.

    Raises:
        ConfigError: `low` is not below `high`.
    """

    def __init__(self, low: float = 0.5, high: float = 1.5) -> None:
        if not low < high:
            raise ConfigError(f"low={low} must lie below high={high}")
        self.low, self.high = low, high

    def _cuts(self, normal_lung: Scores, pneumonia: Scores, kinds: int) -> list[float]:
        return [self.low, self.high][: kinds - 1]


class LikeliestKind:
    """Rule without thresholds: the kind with the highest mean probability over the window.

    For a net that classifies the kinds (`net=kind_unet`). Thresholds on one number cannot do the same: the expected
    kind of a window half healthy, half outside is that of an opacity. Validation scores are not used.
    """

    def fit(self, normal_lung: Scores, pneumonia: Scores) -> Thresholds:
        """See `Threshold`; nothing is fitted."""
        return LIKELIEST


class MultiOtsu(_Cuts):
    """Classes of least within-class variance (Otsu 1979; Liao et al. 2001) of the scores of pneumonia patches.

    Computed on the logarithm of positive scores: their long right tail would otherwise become a class (`unskewed`).

    Args:
        bins: Number of bins of the histogram.

    >>> low, high = MultiOtsu().fit(np.ones(1), np.repeat([1.0, 10.0, 100.0], 50) * np.linspace(0.9, 1.1, 150))
    >>> 0.96 < low < 9.7 and 10.3 < high < 103
    True
    """

    def __init__(self, bins: int = 256) -> None:
        self.bins = bins

    def _cuts(self, normal_lung: Scores, pneumonia: Scores, kinds: int) -> list[float]:
        scores, back = unskewed(_check(pneumonia, kinds, "abnormal"))
        try:
            centres = threshold_multiotsu(scores, classes=kinds, nbins=self.bins)
        except ValueError as reason:
            raise DataError(f"no {_WORDS[kinds]} classes in {len(scores)} abnormal scores ({reason})") from reason
        return back(centres + np.ptp(scores) / self.bins / 2).tolist()  # upper edge of the last bin below each cut


class GaussianMixture(_Cuts):
    """Mixture of Gaussians on the scores of pneumonia patches (`unskewed`), cut where the likelier one changes.

    At least 30 scores are needed.

    Args:
        seed: Seed of the k-means start.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def _cuts(self, normal_lung: Scores, pneumonia: Scores, kinds: int) -> list[float]:
        scores, back = unskewed(_check(pneumonia, 30, "abnormal"))
        if len(np.unique(scores)) < kinds:
            few = f"(fewer than {kinds} different ones)"
            raise DataError(f"no {_WORDS[kinds]} classes in {len(scores)} abnormal scores {few}")
        mixture = _Mixture(kinds, random_state=self.seed, n_init=3).fit(scores[:, None])
        means, order = np.sort(mixture.means_.ravel()), np.argsort(mixture.means_.ravel())
        # Between two means the likelier component changes once; a grid is exact enough and needs no convergence.
        cuts = []
        for below, above in pairwise(range(kinds)):
            grid = np.linspace(means[below], means[above], 1001)
            posterior = mixture.predict_proba(grid[:, None])[:, order]
            cuts.append(grid[int(np.argmax(posterior[:, above] >= posterior[:, below]))])
        return back(cuts).tolist()


class NormalQuantiles(_Cuts):
    """Quantiles of held-out normal lung: a share of at most 1 - q of normal patches lies above.

    Args:
        low: Quantile above which a patch is an opacity.
        high: Quantile above which a patch is outside the lung.

    Raises:
        ConfigError: Quantiles do not rise within [0, 1].
    """

    def __init__(self, low: float = 0.95, high: float = 0.99) -> None:
        if not 0 <= low < high <= 1:
            raise ConfigError(f"low={low} and high={high} must rise within [0, 1]")
        self.low, self.high = low, high

    def _cuts(self, normal_lung: Scores, pneumonia: Scores, kinds: int) -> list[float]:
        quantiles = [self.low, self.high][: kinds - 1]
        # With fewer than 1 / (1 - q) samples the quantile would in effect be the maximum.
        least = int(np.ceil(1 / (1 - quantiles[-1]) - _ROUNDING)) if quantiles[-1] < 1 else 2
        return np.quantile(_check(normal_lung, least, "normal"), quantiles).tolist()


class Conformal(_Cuts):
    """Split-conformal thresholds on held-out normal lung: declared false-alarm rates that hold on average.

    Of normal patches exchangeable with the held-out ones, a share of at most `low` lies above the lower threshold in
    expectation, and at most `high` above the upper one, for any distribution (Vovk et al. 2005; Lei et al. 2018, JASA).
    Patches of one radiograph are correlated, so that the rate of one set of new radiographs varies more than their
    number suggests: `evaluation.decisions` measures the realised rate.

    Args:
        low: Share of normal patches that may be called opacity or outside.
        high: Share of normal patches that may be called outside.

    Raises:
        ConfigError: Rates are not within (0, 1), `high` below `low`.
    """

    def __init__(self, low: float = 0.05, high: float = 0.01) -> None:
        if not 0 < high < low < 1:
            raise ConfigError(
                f"low={low} and high={high} are false-alarm rates: they must lie within (0, 1), high below low, "
                "for example low=0.05 high=0.01"
            )
        self.low, self.high = low, high

    def _cuts(self, normal_lung: Scores, pneumonia: Scores, kinds: int) -> list[float]:
        rates = [self.low, self.high][: kinds - 1]
        scores = _check(normal_lung, least_normals(rates[-1]), "normal")
        return [conformal_threshold(scores, rate) for rate in rates]


_OF_NORMALS = (Conformal, NormalQuantiles)


class RuleOfNormals(NamedTuple):
    """Threshold rule that uses normal lung alone, so that normals of another site can refit it; exported with a model.

    Attributes:
        name: `Conformal` or `NormalQuantiles`.
        low: Parameter `low` of that rule.
        high: Parameter `high` of that rule.
        three: See `fit_kinds`.

    >>> RuleOfNormals.of(NormalQuantiles(0.5, 0.9), three=False)(np.arange(11.0)).finite
    [5.0]
    """

    name: str
    low: float
    high: float
    three: bool

    @classmethod
    def of(cls, rule: Threshold, three: bool) -> RuleOfNormals | None:
        """Build the record of a threshold rule.

        Args:
            rule: Any threshold rule.
            three: See `fit_kinds`.

        Returns:
            The record; None where the rule uses more than normal lung.
        """
        name = type(rule).__name__
        return cls(name, rule.low, rule.high, three) if isinstance(rule, _OF_NORMALS) else None

    @property
    def rule(self) -> Threshold:
        """The threshold rule.

        Raises:
            ConfigError: Parameters that the rule does not accept.
            KeyError: No rule has that name.
        """
        return {rule.__name__: rule for rule in _OF_NORMALS}[self.name](self.low, self.high)

    def __call__(self, normal_lung: Scores) -> Thresholds:
        """Fit thresholds on scores of normal lung, any shape; DataError where they are too few, or all equal."""
        return fit_kinds(self.rule, normal_lung, np.zeros(0), self.three)
