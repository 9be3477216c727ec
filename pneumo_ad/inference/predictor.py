"""What judges radiographs: a run, or a model that was exported from one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from pneumo_ad.data.fit import Fit
from pneumo_ad.inference import finite_radiographs
from pneumo_ad.metrics.conformal import decisions, least_normals, p_values
from pneumo_ad.metrics.thresholds import RuleOfNormals, Thresholds
from pneumo_ad.patches import PatchGrid

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Prediction:
    """A few radiographs, judged, in fitted pixels.

    Attributes:
        lung_fields: (b, H, W) uint8 of 0 and 1.
        maps: (b, H, W) float32 anomaly maps in units of the score, NaN where no window lies.
        windows: (b, N) float32 score of each window, in the order of `PatchGrid.positions`.
        inside: (b, N) whether a window is radiograph throughout; the others have padding in them and are no patches.
        scores: (b,) float64, one per radiograph, NaN where no lung was found, or where what the net gave is not finite.
        finite: (b,) whether that is (`inference.finite_radiographs`).
        likeliest: (b, N) the net's likeliest kind of each window, of 0 to 2; None unless windows are decided by it.
    """

    lung_fields: npt.NDArray[np.uint8]
    maps: npt.NDArray[np.float32]
    windows: npt.NDArray[np.float32]
    inside: npt.NDArray[np.bool_]
    scores: npt.NDArray[np.float64]
    finite: npt.NDArray[np.bool_]
    likeliest: npt.NDArray[np.int8] | None = None

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
    ) -> Prediction:
        """Put together; what is not finite becomes no score and a hole in the map.

        Args:
            lung_fields: See the class.
            maps: See the class.
            windows: See the class.
            scores: (b,), of whatever the net gave.
            content: (b, H, W) of 0 and 1: what is radiograph and not padding.
            grid: The windows.
            likeliest: See the class.
        """
        finite = finite_radiographs([windows], [maps], grid) & ~np.isinf(scores)
        if not finite.all():
            maps = np.where(np.isfinite(maps), maps, np.float32(np.nan))
            scores = np.where(finite, scores, np.nan)
        inside = grid.window_shares(content) == 1
        return cls(lung_fields, maps, windows, inside, scores.astype(np.float64), finite, likeliest)


@dataclass(frozen=True)
class Calibration:
    """What held-out normal radiographs and windows say of a score; plain numbers, so that it travels with a model.

    Attributes:
        score: Name of the score.
        unit: Unit of the score.
        normals: (n,) scores of held-out normal radiographs; empty where they were not at hand.
        false_alarm_rate: Declared share of normal radiographs that may be called anomalous.
        thresholds: Thresholds between the kinds of window, or None where they could not be fitted.
        window_range: Median and 99 % quantile of held-out normal windows.
        rule: Sets thresholds by windows of normal lung, of another site too; None where the run's rule needs more than
            those, or is not known.
        highest: The most the score can be (`Score.highest`).
    """

    score: str
    unit: str
    normals: Floats
    false_alarm_rate: float
    thresholds: Thresholds | None
    window_range: tuple[float, float]
    rule: RuleOfNormals | None = None
    highest: float = math.inf

    @property
    def colours(self) -> tuple[float, float]:
        """Scores at which the colours of a map start and are full, the same for all radiographs.

        They start where 99 % of held-out normal lung ends. They are full at the highest score there is; where nothing
        bounds it, at three times the distance of their start from the median.
        """
        median, end = self.window_range
        return end, self.highest if math.isfinite(self.highest) else end + 2 * (end - median)

    def percentiles(self, scores: Floats) -> npt.NDArray[np.float64]:
        """(b,) share in percent of held-out normals that score lower; NaN without a score or without normals."""
        if not len(self.normals):
            return np.full(len(scores), np.nan)
        below = np.searchsorted(np.sort(self.normals), scores, side="left") / len(self.normals)
        return np.where(np.isnan(scores), np.nan, 100 * below)

    def p_values(self, scores: Floats) -> npt.NDArray[np.float64]:
        """(b,) conformal p-value (`metrics.conformal.p_values`); NaN without a score or without normals."""
        if not len(self.normals):
            return np.full(len(scores), np.nan)
        return p_values(scores, self.normals)

    def decisions(self, scores: Floats) -> list[bool | None]:
        """(b,) whether each is anomalous at the declared false-alarm rate; None where that cannot be told."""
        return decisions(self.p_values(scores), len(self.normals), self.false_alarm_rate)

    @property
    def limits(self) -> list[str]:
        """Why it decides nothing, and from which rate on it would; empty where it does, or has no normals at all."""
        n, least = len(self.normals), least_normals(self.false_alarm_rate)
        if n == 0 or n >= least:
            return []
        return [
            f"no decisions: a false-alarm rate of {self.false_alarm_rate:g} needs {least} held-out normals and the run "
            f"has {n}, enough for false_alarm_rate={1 / (n + 1):.2g}"
        ]


class Predictor(Protocol):
    """From radiographs to what is thought of them.

    Attributes:
        grid: The windows, and the size to which radiographs are fitted.
        fit: How they are fitted.
        standard: Calibration that scores are judged by: held-out normals, thresholds, false-alarm rate.
        identity: Digest of everything that its predictions depend on.
        notes: Remarks for readers of its predictions, a sentence each.
    """

    grid: PatchGrid
    fit: Fit
    standard: Calibration
    identity: str
    notes: list[str]

    @property
    def view(self) -> str:
        """What the net sees, `patch` or `image`."""
        ...

    def __call__(self, images: npt.NDArray[np.uint8], content: npt.NDArray[np.uint8]) -> Prediction:
        """Judge some radiographs.

        Args:
            images: (b, H, W) grey levels 0-255, fitted (`fit_image`).
            content: (b, H, W) of 0 and 1: what is radiograph and not padding.
        """
        ...
