"""Localisation of opacities by an anomaly map: per-region overlap and the pointing game, against truth masks.

Maps are (H, W), higher is more anomalous; NaN pixels, which no window covers, are left out. Truths are (H, W) of
`labels`. The search covers the whole image, or with `in_lung` only lung and opacity: to find opacities among ribs
and background is one question, among healthy lung another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.ndimage import label

from pneumo_ad.errors import ConfigError, DataError
from pneumo_ad.labels import IN_OPACITY, OUTSIDE_LUNG
from pneumo_ad.metrics.proportion import share_with_interval
from pneumo_ad.metrics.ranking import Interval, Patients, Scores, Truth, draw_patients, interval_of

_LIMIT = 0.3  # largest false-positive rate of per-region overlap
_CUTS = 2048  # thresholds at quantiles of opacity pixels, and as many of the others
_POOLED = 1 << 20  # pixels from which the quantiles are taken

Maps = Sequence[Scores]
Truths = Sequence[npt.NDArray[np.integer]]
Pairs = list[tuple[Scores, npt.NDArray[np.integer]]]


class PointingGame(NamedTuple):
    """Result of the pointing game: share of hits with its 95 % interval, and the share at chance.

    Attributes:
        value: Share of hits.
        low: Lower end of the interval.
        high: Upper end of the interval.
        chance: Share of hits of a random pixel.
    """

    value: float
    low: float
    high: float
    chance: float


class _Found(NamedTuple):
    """False alarms and overlap at K falling thresholds (scores at or above them), the last one minus infinity."""

    alarms: npt.NDArray[np.float64]  # (I, K) searched pixels outside opacities
    overlap: npt.NDArray[np.float64]  # (I, K) share of a region's pixels, summed over the radiograph's regions


def per_region_overlap(maps: Maps, truths: Truths, limit: float = _LIMIT, in_lung: bool = False) -> float:
    """Compute the area under the mean share of each opacity that is found, over false-positive rates up to `limit`.

    PRO of Bergmann et al. (2020, CVPR), so that a small opacity counts as much as a large one. Regions are the
    8-connected components of each truth; a speck of one pixel is a region too. Ties are crossed in a straight line, as
    in a ROC curve. Thresholds are all distinct values, or 4,096 quantiles where there are more (exact to about 1e-4).

    Args:
        maps: I anomaly maps, each (H, W).
        truths: I truths of the same shapes.
        limit: Largest false-positive rate, in (0, 1].
        in_lung: Whether only healthy lung counts as negative.

    Returns:
        Normalised area in [0, 1], higher is better; `limit` / 2 at chance.

    Raises:
        DataError: No opacity in any truth, nothing else in any, or shapes that do not match.
        ConfigError: A limit outside (0, 1].

    >>> truth = np.array([[0, 1, 1, 2]])
    >>> per_region_overlap([truth.astype(float)], [truth])
    1.0
    >>> round(per_region_overlap([np.zeros((1, 4))], [truth]), 3)
    0.15
    """
    curves = _found(maps, truths, limit, in_lung)
    return float(_areas(np.ones((1, len(maps))), curves, limit)[0])


def per_region_overlap_with_interval(
    maps: Maps, truths: Truths, patients: Patients, in_lung: bool = False, resamples: int = 1000
) -> Interval:
    """Compute `per_region_overlap` and its 95 % percentile bootstrap interval, patients drawn with replacement.

    Args:
        maps: I anomaly maps, each (H, W).
        truths: I truths of the same shapes.
        patients: (I,) patient of each radiograph.
        in_lung: Whether only healthy lung counts as negative.
        resamples: Number of bootstrap resamples; those without a region are left out.

    Raises:
        DataError: No opacity in any truth, nothing else in any, or shapes that do not match.
    """
    curves = _found(maps, truths, _LIMIT, in_lung)
    owner, weights = draw_patients(patients, resamples)
    value = float(_areas(np.ones((1, len(maps))), curves, _LIMIT)[0])
    return Interval(value, *interval_of(_areas(weights[:, owner], curves, _LIMIT)))


def pointing_game(maps: Maps, truths: Truths, patients: Patients, in_lung: bool = False) -> PointingGame:
    """Compute the share of radiographs whose highest pixel lies in an opacity (Zhang et al. 2018, IJCV), no tolerance.

    Radiographs without a covered opacity pixel are left out: there is nothing to point at.

    Args:
        maps: I anomaly maps, each (H, W).
        truths: I truths of the same shapes.
        patients: (I,) patient of each radiograph.
        in_lung: Whether only pixels of lung and opacity are searched, not the whole image.

    Returns:
        Share of hits with its interval (`share_with_interval`), higher is better; and chance, the mean share of
        opacity in the searched area.

    Raises:
        DataError: No opacity in any truth, or shapes that do not match.

    >>> truth = np.array([[0, 1, 1, 2]])
    >>> game = pointing_game([truth.astype(float)], [truth], np.zeros(1))
    >>> game.value, game.chance
    (1.0, 0.25)
    """
    hits, chance = pointing_hits(maps, truths, in_lung)
    shown = ~np.isnan(hits)
    if not shown.any():
        raise DataError(f"no anomaly in any of {len(hits)} truth masks: there is nothing to point at")
    share = share_with_interval(hits[shown], patients[shown])
    return PointingGame(*share, float(chance[shown].mean()))


def pointing_hits(
    maps: Maps, truths: Truths, in_lung: bool = False
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Compute hits of the pointing game: (I,) 1 where the highest pixel lies in an opacity, and (I,) chance.

    Where several pixels are highest, a hit is the share of them within opacities: a constant map scores chance. Both
    are NaN for a radiograph without a covered opacity pixel.

    Args:
        maps: I anomaly maps, each (H, W).
        truths: I truths of the same shapes.
        in_lung: Whether only pixels of lung and opacity are searched.
    """
    hits, chance = np.full(len(maps), np.nan), np.full(len(maps), np.nan)
    for i, (values, truth) in enumerate(_pairs(maps, truths)):
        searched = _searched(values, truth, in_lung)
        scores, opaque = values[searched], truth[searched] == IN_OPACITY
        if opaque.any():
            hits[i], chance[i] = opaque[scores == scores.max()].mean(), opaque.mean()
    return hits, chance


def _pairs(maps: Maps, truths: Truths) -> Pairs:
    if len(maps) != len(truths):
        raise DataError(f"{len(maps)} maps and {len(truths)} truth masks: each map needs its own")
    for i, (values, truth) in enumerate(zip(maps, truths, strict=True)):
        if values.shape != truth.shape or values.ndim != 2:
            raise DataError(f"map {i} is {values.shape} and its truth {truth.shape}: both must be the same (H, W)")
    return list(zip(maps, truths, strict=True))


def _searched(values: Scores, truth: npt.NDArray[np.integer], in_lung: bool) -> Truth:
    return ~np.isnan(values) & (truth > OUTSIDE_LUNG) if in_lung else ~np.isnan(values)


def _found(maps: Maps, truths: Truths, limit: float, in_lung: bool) -> _Found:
    if not 0 < limit <= 1:
        raise ConfigError(f"limit={limit} is no false-positive rate in (0, 1]")
    pairs = _pairs(maps, truths)
    thresholds = _thresholds(pairs, in_lung)
    curves = _Found(*np.zeros((2, len(pairs), len(thresholds))))
    for i, (values, truth) in enumerate(pairs):
        searched = _searched(values, truth, in_lung)
        components, regions = label(truth == IN_OPACITY, structure=np.ones((3, 3)))
        curves.alarms[i] = _at_least(thresholds, values[searched & (components == 0)])
        for region in range(1, regions + 1):
            scores = values[searched & (components == region)]
            if scores.size:  # a region that no window covers can be neither found nor missed
                curves.overlap[i] += _at_least(thresholds, scores) / scores.size
    for amount, name in ((curves.overlap, "anomaly"), (curves.alarms, "pixel without an anomaly")):
        if not amount[:, -1].any():
            raise DataError(f"no {name} in any of {len(pairs)} truth masks: per-region overlap needs both")
    return curves


def _at_least(thresholds: Scores, values: Scores) -> npt.NDArray[np.int64]:
    return len(values) - np.searchsorted(np.sort(values), thresholds)


def _thresholds(pairs: Pairs, in_lung: bool) -> Scores:
    """Falling map values, so that results do not change under a monotone transform of scores; minus infinity last."""
    step = -(-sum(values.size for values, _ in pairs) // _POOLED)
    cuts = []
    for opaque in (True, False):
        chosen = (_searched(values, truth, in_lung) & ((truth == IN_OPACITY) == opaque) for values, truth in pairs)
        pooled = np.concatenate([values[own][::step].copy() for (values, _), own in zip(pairs, chosen, strict=True)])
        distinct = np.unique(pooled)
        few = len(distinct) <= _CUTS
        cuts.append(distinct if few else np.quantile(pooled, np.linspace(0, 1, _CUTS), method="lower"))
    falling = np.unique(np.concatenate(cuts))[::-1]
    return np.append(falling, falling.dtype.type(-np.inf))


def _areas(weights: Scores, found: _Found, limit: float) -> npt.NDArray[np.float64]:
    """(R, I) weights of the radiographs -> (R,) normalised areas; NaN without a region or a negative."""
    with np.errstate(invalid="ignore", divide="ignore"):
        rate, overlap = weights @ found.alarms, weights @ found.overlap
        rate, overlap = (np.pad(curve / curve[:, -1:], ((0, 0), (1, 0))) for curve in (rate, overlap))  # from (0, 0)
        width = np.diff(rate.clip(max=limit), axis=1)
        # A step that crosses the limit is cut there, by linear interpolation.
        end = overlap[:, :-1] + np.diff(overlap, axis=1) * np.nan_to_num(width / np.diff(rate, axis=1))
        return ((width * (overlap[:, :-1] + end) / 2).sum(axis=1) / limit).clip(max=1)  # rounding of sums may pass 1
