"""Two thresholds split patches into three kinds (the paper's § 3.3, Table 1): healthy < opacity < outside.

One tells opacity from the rest, for scores that do not order what lies outside the lung (`Score.orders_outside`).
A net that tells the kinds apart itself needs none: a window is of its likeliest kind (`LikeliestKind`).
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
from pneumo_ad.metrics.conformal import _ROUNDING, Scores, conformal_threshold, least_normals
from pneumo_ad.metrics.modality import log_scores

Kinds = npt.NDArray[np.int8]

_WORDS = {2: "two", 3: "three"}
_PLAIN = "likeliest"  # in JSON, where others have numbers


class Thresholds(NamedTuple):
    """`score <= low`: healthy lung; `low < score <= high`: opacity; above: outside. In units of the score.

    Without `high` there are two kinds: opacity above `low`, and the rest, which stands where healthy lung stands.

    >>> Thresholds(1.0).classify(np.array([0.5, 2.0, 9.0])).tolist(), Thresholds(1.0).finite
    ([0, 1, 1], [1.0])
    """

    low: float
    high: float = math.inf

    @property
    def finite(self) -> list[float]:
        """Those there are, rising: one or two."""
        return [self.low, self.high] if self.tell_outside else [self.low]

    @property
    def kinds(self) -> tuple[int, ...]:
        """Those that are told, two or three of `labels.KINDS`."""
        return (HEALTHY, OPACITY, OUTSIDE) if self.tell_outside else (HEALTHY, OPACITY)

    @property
    def words(self) -> tuple[str, ...]:
        """What they are called, rising; without a threshold to what lies outside, the lowest need not be lung."""
        return ("healthy lung", "opacity", "outside") if self.tell_outside else ("not opacity", "opacity")

    @property
    def tell_outside(self) -> bool:
        """Whether there are three kinds."""
        return not math.isinf(self.high)

    @property
    def plain(self) -> list[float] | str:
        """As JSON holds them; `thresholds_of` reads it."""
        return self.finite

    def classify(self, scores: Scores, likeliest: Kinds | None = None) -> Kinds:
        """Kind of each window.

        Args:
            scores: Scores of windows, any shape.
            likeliest: Kind that the net finds likeliest in each window, the same shape; None where not asked for.
        """
        return np.where(scores <= self.low, HEALTHY, np.where(scores <= self.high, OPACITY, OUTSIDE)).astype(np.int8)


class LikeliestKinds(Thresholds):
    """Decides by the net's likeliest kind alone: none of its thresholds, which part the kinds, lies on the score.

    >>> LIKELIEST.classify(np.array([0.1, 0.9]), np.array([2, 0])).tolist(), LIKELIEST.finite, LIKELIEST.words
    ([2, 0], [], ('healthy lung', 'opacity', 'outside'))
    """

    @property
    def finite(self) -> list[float]:
        """None: there is nothing to mark on the axis of a score."""
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
    """What `Thresholds.plain` gave.

    Args:
        plain: One or two numbers that rise, or the word that stands for `LIKELIEST`.

    Raises:
        ValueError: It is neither.

    >>> thresholds_of([0.5]), thresholds_of("likeliest") is LIKELIEST
    (Thresholds(low=0.5, high=inf), True)
    """
    if plain == _PLAIN:
        return LIKELIEST
    if isinstance(plain, list) and len(plain) in (1, 2) and all(isinstance(one, int | float) for one in plain):
        return Thresholds(*plain)
    raise ValueError(f"{str(plain)[:80]}, expected one number or two, or {_PLAIN}")


class Threshold(Protocol):
    """A rule: scores of validation patches in, thresholds out; no truth is seen.

    A rule may have a `fit_one` too, which takes the same and gives the threshold of opacity alone (`fit_kinds`).

    Args of `fit`:
        normal_lung: (n,) patches wholly inside normal lungs.
        pneumonia: (m,) every window of pneumonia radiographs.
    """

    def fit(self, normal_lung: Scores, pneumonia: Scores) -> Thresholds:
        """Scores of any shape -> thresholds.

        Args:
            normal_lung: Scores of windows of normal lung.
            pneumonia: Scores of windows of pneumonia radiographs.
        """


def fit_kinds(rule: Threshold, normal_lung: Scores, pneumonia: Scores, three: bool) -> Thresholds:
    """Thresholds between as many kinds as a score tells.

    Args:
        rule: Fits them. One without a `fit_one` gives the lower of its two thresholds for two kinds.
        normal_lung: See `Threshold`.
        pneumonia: See `Threshold`.
        three: Whether the score orders three kinds (`Score.orders_outside`), or tells opacity from the rest alone.

    >>> fit_kinds(NormalQuantiles(0.5, 0.9), np.arange(11.0), np.zeros(0), three=False)
    Thresholds(low=5.0, high=inf)
    """
    if three or isinstance(rule, LikeliestKind):  # whose kinds are the net's, whatever the score orders
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
    """A rule that finds the threshold between two kinds and those between three in one way, `_cuts`."""

    def fit(self, normal_lung: Scores, pneumonia: Scores) -> Thresholds:
        """See `Threshold`.

        Raises:
            DataError: Too few scores for the rule, or all equal.
        """
        return Thresholds(*self._cuts(normal_lung, pneumonia, 3))

    def fit_one(self, normal_lung: Scores, pneumonia: Scores) -> float:
        """The threshold of opacity alone; see `Threshold`.

        Raises:
            DataError: See `fit`; fewer scores may do.
        """
        return self._cuts(normal_lung, pneumonia, 2)[0]

    def _cuts(self, normal_lung: Scores, pneumonia: Scores, kinds: int) -> list[float]:
        """The `kinds - 1` thresholds between kinds, rising."""
        raise NotImplementedError


class Fixed(_Cuts):
    """Thresholds that are known beforehand, for scores with a scale of their own (`score=expected_kind`).

    Args:
        low: Above it a patch is an opacity.
        high: Above it a patch is outside the lung.

    Raises:
        ConfigError: They do not rise.
    """

    def __init__(self, low: float = 0.5, high: float = 1.5) -> None:
        if not low < high:
            raise ConfigError(f"low={low} must lie below high={high}")
        self.low, self.high = low, high

    def _cuts(self, normal_lung: Scores, pneumonia: Scores, kinds: int) -> list[float]:
        return [self.low, self.high][: kinds - 1]


class LikeliestKind:
    """A window is of the kind that the net finds likeliest in it: of whose chance the mean over the window is highest.

    For a net that tells the kinds apart (`net=kind_unet`). Thresholds on one number cannot do the same: the expected
    kind of a window half healthy, half outside is that of an opacity. No validation scores are looked at.
    """

    def fit(self, normal_lung: Scores, pneumonia: Scores) -> Thresholds:
        """See `Threshold`; nothing is fitted."""
        return LIKELIEST


class MultiOtsu(_Cuts):
    """Three classes of least variance within (Otsu 1979; Liao et al. 2001) on the scores of pneumonia patches.

    The logarithm is cut, because scores are positive with a long right tail, which would get a class of its own.

    Args:
        bins: Number of bins of the histogram.

    >>> low, high = MultiOtsu().fit(np.ones(1), np.repeat([1.0, 10.0, 100.0], 50) * np.linspace(0.9, 1.1, 150))
    >>> 0.96 < low < 9.7 and 10.3 < high < 103
    True
    """

    def __init__(self, bins: int = 256) -> None:
        self.bins = bins

    def _cuts(self, normal_lung: Scores, pneumonia: Scores, kinds: int) -> list[float]:
        scores = log_scores(_check(pneumonia, kinds, "pneumonia"))
        try:
            centres = threshold_multiotsu(scores, classes=kinds, nbins=self.bins)
        except ValueError as reason:
            raise DataError(f"no {_WORDS[kinds]} classes in {len(scores)} pneumonia scores ({reason})") from reason
        ends = np.exp(centres + np.ptp(scores) / self.bins / 2)  # of the last bin that belongs below
        return [float(end) for end in ends]


class GaussianMixture(_Cuts):
    """Three Gaussians on the logarithm of the scores of pneumonia patches, cut where the likelier one changes.

    At least 30 scores are needed.

    Args:
        seed: Seed of the k-means start.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def _cuts(self, normal_lung: Scores, pneumonia: Scores, kinds: int) -> list[float]:
        scores = log_scores(_check(pneumonia, 30, "pneumonia"))
        if len(np.unique(scores)) < kinds:
            few = f"(fewer than {kinds} different ones)"
            raise DataError(f"no {_WORDS[kinds]} classes in {len(scores)} pneumonia scores {few}")
        mixture = _Mixture(kinds, random_state=self.seed, n_init=3).fit(scores[:, None])
        order = np.argsort(mixture.means_.ravel())
        # Between two means the likelier component changes once; a grid is exact enough and cannot fail to converge.
        means = mixture.means_.ravel()[order]
        cuts = []
        for below, above in pairwise(range(kinds)):
            grid = np.linspace(means[below], means[above], 1001)
            posterior = mixture.predict_proba(grid[:, None])[:, order]
            cuts.append(grid[int(np.argmax(posterior[:, above] >= posterior[:, below]))])
        found: list[float] = np.exp(cuts).tolist()
        return found


class NormalQuantiles(_Cuts):
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

    def _cuts(self, normal_lung: Scores, pneumonia: Scores, kinds: int) -> list[float]:
        quantiles = [self.low, self.high][: kinds - 1]
        # With fewer than 1 / (1 - q) samples the quantile would be the maximum in disguise.
        least = int(np.ceil(1 / (1 - quantiles[-1]) - _ROUNDING)) if quantiles[-1] < 1 else 2
        found: list[float] = np.quantile(_check(normal_lung, least, "normal-lung"), quantiles).tolist()
        return found


class Conformal(_Cuts):
    """Split-conformal thresholds on held-out normal lung: false-alarm rates that are declared, and kept on average.

    Of normal patches exchangeable with the held-out ones, at most `low` lie above the lower threshold in expectation,
    and at most `high` above the upper one, whatever the distribution (Vovk et al. 2005; Lei et al. 2018, JASA). Patches
    of one radiograph resemble each other, so that the rate of a single set of new radiographs varies more than their
    number suggests: `evaluation.decisions` measures what came of it.

    Args:
        low: Share of normal patches that may be called opacity or outside.
        high: Share of normal patches that may be called outside.

    Raises:
        ConfigError: Rates that do not fall within (0, 1).
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
        scores = _check(normal_lung, least_normals(rates[-1]), "normal-lung")
        return [conformal_threshold(scores, rate) for rate in rates]


_OF_NORMALS = (Conformal, NormalQuantiles)


class RuleOfNormals(NamedTuple):
    """A rule that looks at normal lung alone, so that normals of another site can set it; it travels with a model.

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
        """The rule of normals that stands for a threshold rule.

        Args:
            rule: Any threshold rule.
            three: See `fit_kinds`.

        Returns:
            None where it looks at more than normal lung.
        """
        name = type(rule).__name__
        return cls(name, rule.low, rule.high, three) if isinstance(rule, _OF_NORMALS) else None

    @property
    def rule(self) -> Threshold:
        """The rule itself.

        Raises:
            ConfigError: Numbers that it does not take.
            KeyError: There is none of that name.
        """
        return {rule.__name__: rule for rule in _OF_NORMALS}[self.name](self.low, self.high)

    def __call__(self, normal_lung: Scores) -> Thresholds:
        """Thresholds from windows of normal lung; DataError where there are too few, or all are equal."""
        return fit_kinds(self.rule, normal_lung, np.zeros(0), self.three)
