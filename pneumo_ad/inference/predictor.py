"""Interface of predictors (runs and exported models), their predictions and calibration."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from pneumo_ad.data.fit import Fit
from pneumo_ad.inference import finite_radiographs
from pneumo_ad.labels import Vocabulary
from pneumo_ad.metrics.conformal import decisions, least_normals, p_values
from pneumo_ad.metrics.thresholds import RuleOfNormals, Thresholds
from pneumo_ad.patches import PatchGrid

HELD_OUT = "held-out normals"

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Prediction:
    """Predictions for a batch of radiographs, in fitted pixels.

    Attributes:
        lung_fields: (b, H, W) uint8 lung fields, 0 or 1.
        maps: (b, H, W) float32 anomaly maps in units of the score, NaN where no window lies.
        windows: (b, N) float32 score of each window, in the order of `PatchGrid.positions`.
        inside: (b, N) bool, whether a window lies on the radiograph; other windows contain padding and are not used.
        scores: (b,) float64 score of each radiograph, NaN without a lung field or where the net's output is not finite.
        finite: (b,) bool, whether the net's output is finite (`inference.finite_radiographs`).
        likeliest: (b, N) int8 likeliest kind of each window, 0 to 2; None unless windows are classified by it.
        likeliest_pixels: (b, H, W) int8 likeliest kind of each pixel; None where `likeliest` is None, and for exports.
    """

    lung_fields: npt.NDArray[np.uint8]
    maps: npt.NDArray[np.float32]
    windows: npt.NDArray[np.float32]
    inside: npt.NDArray[np.bool_]
    scores: npt.NDArray[np.float64]
    finite: npt.NDArray[np.bool_]
    likeliest: npt.NDArray[np.int8] | None = None
    likeliest_pixels: npt.NDArray[np.int8] | None = None

    @classmethod
    def of(
        cls,
        lung_fields: npt.NDArray[np.uint8],
        maps: npt.NDArray[np.float32],
        windows: npt.NDArray[np.float32],
        scores: npt.NDArray[np.floating],
        content: npt.NDArray[np.uint8],
        grid: PatchGrid,
        likeliest: npt.NDArray[np.int8] | None = None,
        likeliest_pixels: npt.NDArray[np.int8] | None = None,
    ) -> Prediction:
        """Build predictions; values that are not finite become NaN in scores and maps.

        Args:
            lung_fields: See the class.
            maps: See the class.
            windows: See the class.
            scores: (b,) scores, also where the net's output is not finite.
            content: (b, H, W) of 0 and 1: radiograph or padding.
            grid: Grid of the windows.
            likeliest: See the class.
            likeliest_pixels: See the class.
        """
        finite = finite_radiographs([windows], [maps], grid) & ~np.isinf(scores)
        if not finite.all():
            maps = np.where(np.isfinite(maps), maps, np.float32(np.nan))
            scores = np.where(finite, scores, np.nan)
        inside = grid.window_shares(content) == 1
        return cls(lung_fields, maps, windows, inside, scores.astype(np.float64), finite, likeliest, likeliest_pixels)

    def kinds(self, place: int, thresholds: Thresholds) -> npt.NDArray[np.int8]:
        """Classify each window of a radiograph, (N,).

        Args:
            place: Place of the radiograph in the batch.
            thresholds: Thresholds between the kinds.
        """
        likeliest = None if self.likeliest is None else self.likeliest[place]
        return thresholds.classify(self.windows[place], likeliest)


@dataclass(frozen=True)
class Calibration:
    """Calibration of a score by held-out normal radiographs and windows, in plain numbers that can be exported.

    Attributes:
        score: Name of the score.
        unit: Unit of the score.
        normals: (n,) scores of held-out normal radiographs; empty where they were not available.
        false_alarm_rate: Declared share of normal radiographs that may be called anomalous, in (0, 1).
        thresholds: Thresholds between the kinds of window, or None where they could not be fitted.
        window_range: Median and 99 % quantile of the scores of held-out normal windows.
        rule: Rule that sets thresholds from windows of normal lung alone, also of another site; None where the run's
            rule needs other windows or is not known.
        highest: Upper bound of the score (`Score.highest`).
        whose: Name of the normals, which follows their number.
    """

    score: str
    unit: str
    normals: Floats
    false_alarm_rate: float
    thresholds: Thresholds | None
    window_range: tuple[float, float]
    rule: RuleOfNormals | None = None
    highest: float = math.inf
    whose: str = HELD_OUT

    @property
    def colours(self) -> tuple[float, float]:
        """Scores at the lower and the upper end of the colour scale of maps, the same for all radiographs.

        The scale starts at the 99 % quantile of held-out normal windows. It ends at the upper bound of the score;
        without one, at three times the distance of the start from the median.
        """
        median, end = self.window_range
        return end, self.highest if math.isfinite(self.highest) else end + 2 * (end - median)

    def percentiles(self, scores: Floats) -> npt.NDArray[np.float64]:
        """Compute the percentage of held-out normals that score lower, (b,); NaN without a score or without normals."""
        if not len(self.normals):
            return np.full(len(scores), np.nan)
        below = np.searchsorted(np.sort(self.normals), scores, side="left") / len(self.normals)
        return np.where(np.isnan(scores), np.nan, 100 * below)

    def p_values(self, scores: Floats) -> npt.NDArray[np.float64]:
        """Compute conformal p-values (`metrics.conformal.p_values`), (b,); NaN without a score or without normals."""
        if not len(self.normals):
            return np.full(len(scores), np.nan)
        return p_values(scores, self.normals)

    def decisions(self, scores: Floats) -> list[bool | None]:
        """Decide which radiographs are anomalous at the declared false-alarm rate, (b,); None where undecidable."""
        return decisions(self.p_values(scores), len(self.normals), self.false_alarm_rate)

    @property
    def limits(self) -> list[str]:
        """Note on too few normals for decisions, with the least rate that works; empty otherwise or with no normals."""
        n, least = len(self.normals), least_normals(self.false_alarm_rate)
        if n == 0 or n >= least:
            return []
        return [
            f"no decisions: a false-alarm rate of {self.false_alarm_rate:g} needs {least} held-out normals and the run "
            f"has {n}, enough for false_alarm_rate={1 / (n + 1):.2g}"
        ]


def normals_of(site: str) -> str:
    """Words that follow the number of the normals of `calibrate=`.

    Args:
        site: Their folder, or what an output holds about it (`Site.words`).

    >>> normals_of("/scans/normal (24 files, digest 0123456789ab)")
    'normals of normal'
    """
    folder = site.rpartition(" (")[0] if site.endswith(")") else site
    return f"normals of {folder.rstrip('/').rpartition('/')[2] or folder}"


def finest_step(normals: int, rate: float, terms: Vocabulary) -> str:
    """Say where decisions are at their finest step, by the normals that there are; else empty.

    Args:
        normals: Number of normals behind the decisions.
        rate: Declared false-alarm rate, in (0, 1).
        terms: Words of the predictor.

    >>> finest_step(24, 0.05, Vocabulary())
    '24 normals: at a false-alarm rate of 0.05 only a radiograph that scores above all of them is called anomalous'
    >>> finest_step(39, 0.05, Vocabulary()) or finest_step(18, 0.05, Vocabulary())
    ''
    """
    if normals < least_normals(rate) or normals >= least_normals(rate / 2):
        return ""
    return (
        f"{normals} normals: at a false-alarm rate of {rate:g} only a {terms.image} that scores above all of them is "
        "called anomalous"
    )


class Predictor(Protocol):
    """Predictor of anomaly maps and scores of radiographs.

    Attributes:
        grid: Grid of the windows, with the size to which radiographs are fitted.
        fit: Method by which radiographs are fitted.
        standard: Calibration of the scores: held-out normals, thresholds, false-alarm rate.
        identity: Digest of everything that the predictions depend on.
        notes: Remarks for readers of its predictions, a sentence each.
        vocabulary: Words for what the images show.
    """

    grid: PatchGrid
    fit: Fit
    standard: Calibration
    vocabulary: Vocabulary
    identity: str
    notes: list[str]

    @property
    def view(self) -> str:
        """Input of the net: `patch`, or `image` for whole radiographs."""

    def __call__(self, images: npt.NDArray[np.uint8], content: npt.NDArray[np.uint8]) -> Prediction:
        """Predict for a batch of radiographs.

        Args:
            images: (b, H, W) uint8 grey levels 0-255, fitted (`fit_image`).
            content: (b, H, W) of 0 and 1: radiograph or padding.
        """
