"""Paired measurement of runs: the same pixels of the same radiographs, in the same bootstrap resamples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce

import numpy as np
import numpy.typing as npt
import pandas as pd

from pneumo_ad.labels import HEALTHY_LUNG, IN_OPACITY
from pneumo_ad.metrics.catalogue import LEAST_IMAGES, scarcity
from pneumo_ad.metrics.ranking import Interval, Scores, Truth, auroc, draw_patients, interval_of, resampled_aurocs
from pneumo_ad.runs.sampled_maps import SampledMaps

BRIGHTNESS = "brightness"  # name of the baseline, beside the names of runs
_SAME_PICTURE = 0.5  # intersection over union of two runs' lungs, below which they are of different radiographs


@dataclass
class Paired:
    """One metric of several runs on the same samples.

    Attributes:
        value: AUROC by run, and of `BRIGHTNESS`.
        resampled: (R,) float64 AUROCs by run; resample r draws the same patients for every run.
    """

    value: dict[str, float] = field(default_factory=dict)
    resampled: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)

    def add(
        self, name: str, scores: Scores, truth: Truth, owner: npt.NDArray[np.integer], weights: npt.NDArray[np.float32]
    ) -> None:
        """Add the AUROC of a run.

        Args:
            name: Name of the run, or `BRIGHTNESS`.
            scores: (n,) float scores, higher is more anomalous.
            truth: (n,) bool, True for positive samples.
            owner: (n,) integer column of each sample's patient in `weights`.
            weights: (R, P) float32 number of times that each of P patients is drawn in each of R resamples.
        """
        self.value[name] = auroc(scores, truth)
        self.resampled[name] = resampled_aurocs(scores, truth, owner, weights)

    def mean(self, names: Sequence[str]) -> Interval:
        """Return the mean over runs, and its 95 % interval over patients (not over runs)."""
        return Interval(float(np.mean([self.value[name] for name in names])), *interval_of(self._mean(names)))

    def difference(self, names: Sequence[str], reference: Sequence[str]) -> Interval:
        """Return the mean of some runs minus that of others, and its 95 % interval; exactly 0 for the same runs.

        Args:
            names: Names of the runs.
            reference: Names of the runs to subtract.
        """
        value = self.mean(names).value - self.mean(reference).value
        return Interval(value, *interval_of(self._mean(names) - self._mean(reference)))

    def _mean(self, names: Sequence[str]) -> npt.NDArray[np.float64]:
        return np.mean([self.resampled[name] for name in names], axis=0)


@dataclass
class SamePixels:
    """Measurements of several runs on the same points of the same radiographs.

    Attributes:
        images: Table of the radiographs that every run has, columns `image` and `patient`.
        finest: Run whose masks are the truth and whose brightness is the baseline.
        covered: Proportion of the lung's points that the windows of every run cover, in [0, 1].
        covered_by: Run -> proportion of the lung's points that its windows cover.
        points: Number of points that every run covers.
        paired: `same_pixels/auroc_in_lung` (opacity against healthy lung) and `same_pixels/auroc` (against all else).
        own_brightness: Metric -> run -> AUROC of brightness averaged over that run's windows.
        omitted: Metric -> reason why it was left out.
    """

    images: pd.DataFrame
    finest: str
    covered: float = 0.0
    covered_by: dict[str, float] = field(default_factory=dict)
    points: int = 0
    paired: dict[str, Paired] = field(default_factory=dict)
    own_brightness: dict[str, dict[str, float]] = field(default_factory=dict)
    omitted: dict[str, str] = field(default_factory=dict)


PIXEL_KEYS = ("same_pixels/auroc_in_lung", "same_pixels/auroc")


def same_pixels(maps: Mapping[str, SampledMaps], finest: str) -> SamePixels:
    """Measure runs on the points that all of them cover, in the radiographs that all of them have.

    Args:
        maps: Sampled maps by run.
        finest: Run whose masks are the truth for all: the one of the largest images.
    """
    images = _in_common([run_maps.images for run_maps in maps.values()])
    result = SamePixels(images, finest)
    places = {name: _places(run_maps.images, images) for name, run_maps in maps.items()}
    truth = np.asarray(maps[finest].truth)[places[finest]]
    if reason := _too_few(truth) or _other_radiographs(maps, places, truth, images, finest):
        result.omitted = dict.fromkeys(PIXEL_KEYS, reason)
        return result
    common = np.ones(truth.shape, dtype=bool)
    for name, run_maps in maps.items():
        covered = ~np.isnan(run_maps.score[places[name]])
        result.covered_by[name] = float(covered[truth > 0].mean())
        common &= covered
    result.covered, result.points = float(common[truth > 0].mean()), int(common.sum())
    if reason := _too_few(np.where(common, truth, 0)):
        result.omitted = dict.fromkeys(PIXEL_KEYS, f"of the pixels that every run covers, {reason}")
        return result
    number, weights = draw_patients(images["patient"].to_numpy(dtype=str))
    owner = np.repeat(number, common.sum(axis=(1, 2)))
    kind = truth[common]
    for key, chosen in zip(PIXEL_KEYS, (kind > 0, np.ones(kind.shape, dtype=bool)), strict=True):
        paired, opaque = Paired(), kind[chosen] == IN_OPACITY
        for name, run_maps in maps.items():
            paired.add(name, run_maps.score[places[name]][common][chosen], opaque, owner[chosen], weights)
            brightness = run_maps.brightness[places[name]][common][chosen]
            result.own_brightness.setdefault(key, {})[name] = auroc(brightness, opaque)
            if name == finest:
                paired.add(BRIGHTNESS, brightness, opaque, owner[chosen], weights)
        result.paired[key] = paired
    return result


def same_images(tables: Mapping[str, pd.DataFrame], finest: str) -> tuple[pd.DataFrame, Paired | None]:
    """Compute the image AUROC of runs on the radiographs that all of them score.

    Args:
        tables: `images.csv` by run, with columns `image`, `patient`, `label`, `score`, `brightness`.
        finest: Run whose brightness is the baseline.

    Returns:
        Table of the radiographs, and the metric; None with fewer than `LEAST_IMAGES` of a label.
    """
    keys = ["image", "patient", "label"]
    scored = {
        name: table[table["label"].isin(["normal", "pneumonia"]) & table["score"].notna()]
        for name, table in tables.items()
    }
    images = _in_common([table[keys] for table in scored.values()])
    sick = (images["label"] == "pneumonia").to_numpy()
    if min(int(sick.sum()), int((~sick).sum())) < LEAST_IMAGES:
        return images, None
    owner, weights = draw_patients(images["patient"].to_numpy(dtype=str))
    paired = Paired()
    for name, table in scored.items():
        chosen = _places(table[keys], images)
        paired.add(name, table["score"].to_numpy()[chosen], sick, owner, weights)
        if name == finest:
            paired.add(BRIGHTNESS, table["brightness"].to_numpy()[chosen], sick, owner, weights)
    return images, paired


def _in_common(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    return reduce(pd.merge, tables).sort_values("image", ignore_index=True)


def _places(own: pd.DataFrame, wanted: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Row of each wanted radiograph in a run's table."""
    return pd.Index(own["image"]).get_indexer(pd.Index(wanted["image"])).astype(np.int64)


def _too_few(truth: npt.NDArray[np.uint8]) -> str | None:
    for kind, words in ((IN_OPACITY, "{anomaly}"), (HEALTHY_LUNG, "{healthy}")):
        n = int((truth == kind).any(axis=(1, 2)).sum())
        if reason := scarcity(n, f"{{images}} with {words} are in every run"):
            return reason
    return None


def _other_radiographs(
    maps: Mapping[str, SampledMaps],
    places: Mapping[str, npt.NDArray[np.int64]],
    truth: npt.NDArray[np.uint8],
    images: pd.DataFrame,
    finest: str,
) -> str | None:
    """Reason why runs cannot be compared (one name stands for radiographs with different lungs), or None."""
    lung = truth > 0
    for name, one in maps.items():
        own_lung = np.asarray(one.truth)[places[name]] > 0
        both, either = (mask.sum(axis=(1, 2)) for mask in (own_lung & lung, own_lung | lung))
        elsewhere = both < _SAME_PICTURE * either
        if elsewhere.any():
            image = images["image"].iloc[int(np.argmax(elsewhere))]
            return f"{image} of {name} is not the {{image}} of that name in {finest}: its {{region}} lies elsewhere"
    return None
