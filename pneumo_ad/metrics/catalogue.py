"""Keys of `metrics.json`: metrics of a set of scored radiographs, and reasons for those left out.

Reasons and names are templates of words: `labels.Vocabulary.fill` completes them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pneumo_ad.labels import (
    HEALTHY,
    HEALTHY_LUNG,
    IN_OPACITY,
    KIND_WORDS,
    KINDS,
    NOT_KNOWN,
    OPACITY,
    OUTSIDE,
    PADDING,
)
from pneumo_ad.metrics.kinds import macro_f1
from pneumo_ad.metrics.ranking import auroc_with_interval, average_precision

LEAST_IMAGES = 5  # of each class; with fewer a metric is left out and named
MOSTLY_LUNG = 0.5

Samples = Literal["patch", "pixel", "image"]

# Key of each AUROC -> level of the same samples in `shortcut/<level>/<name>`.
LEVELS = {
    "patch/auroc_outside_vs_healthy": "patch_outside",
    "patch/auroc_opacity_vs_healthy": "patch",
    "patch/auroc_pneumonia_vs_normal": "patch_origin",
    "patch/auroc_pneumonia_vs_normal_in_lung": "patch_origin_in_lung",
    "pixel/auroc": "pixel",
    "pixel/auroc_in_lung": "pixel_in_lung",
    "image/auroc": "image",
    "image/auroc_matched": "image_matched",
}


@dataclass
class GroundTruth:
    """Ground truth of I radiographs of N windows each.

    Attributes:
        patient: (I,) patient numbers.
        normal: (I,) bool, labelled normal.
        pneumonia: (I,) bool, labelled pneumonia.
        kind: (I, N) true kinds of windows (`labels.KINDS`); UNKNOWN where masks are missing.
        lung_share: (I, N) share of each window inside the lung field.
        pixel_truth: Row -> (H, W) int8 of `labels`, for radiographs whose opacities are known.
        any_in_lung: (I,) bool, radiographs with a scored window that is mostly lung; None: among these N windows.
        truths_left_out: Number of radiographs with known opacities that pixel metrics leave out, to bound memory.
    """

    patient: npt.NDArray[np.integer]
    normal: npt.NDArray[np.bool_]
    pneumonia: npt.NDArray[np.bool_]
    kind: npt.NDArray[np.int8]
    lung_share: npt.NDArray[np.float64]
    pixel_truth: dict[int, npt.NDArray[np.int8]] = field(default_factory=dict)
    any_in_lung: npt.NDArray[np.bool_] | None = None
    truths_left_out: int = 0

    @property
    def in_lung(self) -> npt.NDArray[np.bool_]:
        """(I, N) bool, windows that are mostly lung."""
        return self.lung_share > MOSTLY_LUNG

    @property
    def origins(self) -> dict[str, npt.NDArray[np.bool_]]:
        """Name -> (I, N) bool: windows wholly in normal lungs, windows of pneumonia radiographs; none with padding."""
        real = self.kind != PADDING
        return {
            "normal_lung": self.normal[:, None] & (self.lung_share == 1) & real,
            "pneumonia": self.pneumonia[:, None] & real,
        }

    @property
    def has_lung(self) -> npt.NDArray[np.bool_]:
        """(I,) bool, radiographs with a scored window that is mostly lung."""
        if self.any_in_lung is not None:
            return self.any_in_lung
        return np.asarray(self.in_lung.any(axis=1))


@dataclass
class MeasuredScore:
    """One score of the radiographs of a `GroundTruth`.

    Attributes:
        window: (I, N) score of each window.
        kind: (I, N) predicted kinds, or None where no thresholds could be fitted.
        pixel: Row -> (H, W) anomaly map, for the radiographs of `GroundTruth.pixel_truth`.
        image: (I,) score of each radiograph.
    """

    window: npt.NDArray[np.float32]
    kind: npt.NDArray[np.int8] | None
    pixel: dict[int, npt.NDArray[np.float32]]
    image: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Question:
    """Two groups of samples, the first of which should score higher; answered by an AUROC.

    Attributes:
        key: Key of its AUROC, one of `LEVELS`.
        of: Kind of the n samples.
        positive: (n,) bool, samples that should score higher.
        negative: (n,) bool, samples that should score lower.
        names: Names of positives and negatives, for the reason why there is no answer.
    """

    key: str
    of: Samples
    positive: npt.NDArray[np.bool_]
    negative: npt.NDArray[np.bool_]
    names: tuple[str, str]


@dataclass(frozen=True)
class Questions:
    """Questions that every score of the same radiographs is to answer.

    Attributes:
        each: Questions, one for each AUROC.
        image: Kind of sample -> (n,) number of the radiograph that each sample belongs to.
        patient: (I,) patient numbers.
    """

    each: tuple[Question, ...]
    image: dict[Samples, npt.NDArray[np.int32]]
    patient: npt.NDArray[np.integer]

    @classmethod
    def about(cls, evidence: GroundTruth) -> Questions:
        """Build all questions that the ground truth can answer."""
        images, windows = evidence.kind.shape
        of_window = np.repeat(np.arange(images, dtype=np.int32), windows)
        kind, inside = evidence.kind.ravel(), evidence.in_lung.ravel()
        real = kind != PADDING
        sick, well = evidence.pneumonia[of_window] & real, evidence.normal[of_window] & real
        truth = pixel_values(evidence, evidence.pixel_truth)
        numbers = {row: np.broadcast_to(np.int32(row), pixels.shape) for row, pixels in evidence.pixel_truth.items()}
        of_pixel = pixel_values(evidence, numbers).astype(np.int32, copy=False)
        seen = evidence.has_lung
        origin = ("{abnormal} patches", "normal patches")
        opaque, of_lung = truth == IN_OPACITY, truth == HEALTHY_LUNG
        each = (
            _kinds("patch/auroc_opacity_vs_healthy", kind, OPACITY),
            _kinds("patch/auroc_outside_vs_healthy", kind, OUTSIDE),
            Question("patch/auroc_pneumonia_vs_normal", "patch", sick, well, origin),
            Question(
                "patch/auroc_pneumonia_vs_normal_in_lung",
                "patch",
                sick & inside,
                well & inside,
                (f"{origin[0]} in the {{region}}", f"{origin[1]} in the {{region}}"),
            ),
            Question("pixel/auroc", "pixel", opaque, ~opaque, ("{anomaly} pixels", "other pixels")),
            Question(
                "pixel/auroc_in_lung", "pixel", opaque, of_lung,
                ("{anomaly} pixels", "{healthy} pixels"),
            ),
            Question(
                "image/auroc", "image", evidence.pneumonia & seen, evidence.normal & seen,
                ("the label {abnormal} and a {field}", "the label normal and a {field}"),
            ),
        )  # fmt: skip
        return cls(
            each, {"patch": of_window, "pixel": of_pixel, "image": np.arange(images, dtype=np.int32)}, evidence.patient
        )

    def unanswerable(self, question: Question) -> str | None:
        """Return the reason where too few radiographs hold positives or negatives; else None."""
        for chosen, name in zip((question.positive, question.negative), question.names, strict=True):
            n = int(np.count_nonzero(np.bincount(self.image[question.of][chosen])))
            if reason := scarcity(n, f"{{images}} with {name}"):
                return reason
        return None

    def aurocs(
        self, values: Mapping[Samples, npt.NDArray[np.floating]], names: Mapping[str, str] | None = None
    ) -> tuple[dict[str, float], dict[str, str]]:
        """Compute the AUROC of each question whose samples have values, with `_low` and `_high`.

        Args:
            values: Kind of sample -> (n,) scores.
            names: Key of the question -> key of the result; None keeps the key of the question.

        Returns:
            Metrics by key, and reasons by key for those left out.
        """
        metrics: dict[str, float] = {}
        omitted: dict[str, str] = {}
        for question in self.each:
            if question.of not in values:
                continue
            key = names[question.key] if names else question.key
            if reason := self.unanswerable(question):
                omitted[key] = reason
                continue
            both = question.positive | question.negative
            scores, owner = values[question.of][both], self.patient[self.image[question.of][both]]
            interval = auroc_with_interval(scores, question.positive[both], owner)
            metrics |= interval.keyed(key)
        return metrics, omitted


def _kinds(key: str, kind: npt.NDArray[np.int8], positive: int) -> Question:
    names = (f"{KIND_WORDS[positive]} patches", "{healthy} patches")
    return Question(key, "patch", kind == positive, kind == HEALTHY, names)


def pixel_values(evidence: GroundTruth, maps: Mapping[int, npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Return the (n,) map values at the known pixels, in the order of the questions about pixels.

    Args:
        evidence: Ground truth of the radiographs, from masks and labels.
        maps: Row of the ground truth -> (H, W) map.
    """
    rows = sorted(evidence.pixel_truth)
    parts = [maps[row][evidence.pixel_truth[row] != NOT_KNOWN] for row in rows]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.float32)


def headline(
    evidence: GroundTruth, measured: MeasuredScore, questions: Questions | None = None
) -> tuple[dict[str, float], dict[str, str]]:
    """Compute every metric that the data allow, and give the reason for each that they do not.

    Args:
        evidence: Ground truth of the radiographs, from masks and labels.
        measured: Scores of the same radiographs.
        questions: Questions about the same ground truth, shared between several scores; None builds them.

    Returns:
        `metrics` with the keys `patch/...`, `pixel/...` and `image/...`, each AUROC with `_low` and `_high`; and
        `omitted`, key -> reason.
    """
    questions = questions or Questions.about(evidence)
    values: dict[Samples, npt.NDArray[np.floating]] = {
        "patch": measured.window.ravel(),
        "pixel": pixel_values(evidence, measured.pixel),
        "image": measured.image,
    }
    metrics, omitted = questions.aurocs(values)
    for question in questions.each:
        if question.key not in ("pixel/auroc", "image/auroc"):
            continue
        key = f"{question.of}/average_precision"
        if question.key in omitted:
            omitted[key] = omitted[question.key]
        else:
            both = question.positive | question.negative
            metrics[key] = average_precision(values[question.of][both], question.positive[both])
    if reason := missing_kind(evidence):
        omitted["patch/macro_f1"] = reason
    elif measured.kind is None:
        omitted["patch/macro_f1"] = "no thresholds"
    else:
        metrics["patch/macro_f1"] = macro_f1(evidence.kind.ravel(), measured.kind.ravel())
    return metrics, omitted


def scarcity(number: int, what: str) -> str:
    """Return the reason why fewer than `LEAST_IMAGES` radiographs leave a metric out; empty where there are enough.

    Args:
        number: Number of radiographs.
        what: Description of the radiographs.

    >>> scarcity(3, "{images} with boxes"), scarcity(5, "{images} with boxes")
    ('3 {images} with boxes; at least 5 are needed', '')
    """
    return f"{number} {what}; at least {LEAST_IMAGES} are needed" if number < LEAST_IMAGES else ""


def missing_kind(evidence: GroundTruth) -> str | None:
    """Return the reason where too few radiographs hold windows of one of the three kinds; else None."""
    for kind in (HEALTHY, OPACITY, OUTSIDE):
        n = int((evidence.kind == kind).any(axis=1).sum())
        if reason := scarcity(n, f"{{images}} with {KIND_WORDS[kind]} patches"):
            return reason
    return None


def sad_medians(sad: npt.NDArray[np.floating], evidence: GroundTruth) -> tuple[dict[str, float], dict[str, str]]:
    """Compute the median SAD by kind of window, of windows wholly inside normal lungs and of pneumonia windows.

    Args:
        sad: (I, N) SAD of each window in grey levels.
        evidence: Ground truth of the windows, from masks and labels.

    Returns:
        `patch/sad_median_...` in grey levels, and the reason for each group with too few radiographs.
    """
    groups = {KINDS[kind]: evidence.kind == kind for kind in (HEALTHY, OPACITY, OUTSIDE)} | evidence.origins
    metrics, omitted = {}, {}
    for name, chosen in groups.items():
        if reason := scarcity(int(chosen.any(axis=1).sum()), "{images} with such patches"):
            omitted[f"patch/sad_median_{name}"] = reason
        else:
            metrics[f"patch/sad_median_{name}"] = float(np.median(sad[chosen]))
    return metrics, omitted


def counts(evidence: GroundTruth) -> dict[str, int]:
    """Count radiographs by label, patients, and windows by true kind, under `counts/...`."""
    numbers = {
        "counts/images": len(evidence.patient),
        "counts/images_normal": int(evidence.normal.sum()),
        "counts/images_pneumonia": int(evidence.pneumonia.sum()),
        "counts/images_other": int((~evidence.normal & ~evidence.pneumonia).sum()),
        "counts/images_without_lung": int((~evidence.has_lung).sum()),
        "counts/images_with_truth": len(evidence.pixel_truth) + evidence.truths_left_out,
        "counts/images_in_pixel_metrics": len(evidence.pixel_truth),
        "counts/patients": len(np.unique(evidence.patient)),
        "counts/patches": evidence.kind.size,
    }
    return numbers | {f"counts/patches_{name}": int((evidence.kind == kind).sum()) for kind, name in enumerate(KINDS)}


SAME_PIXELS = "same_pixels/"  # metrics of several runs on the same pixels, in a leaderboard
HEADLINE = {
    "patch/auroc_outside_vs_healthy": "patch AUROC outside / {healthy}",
    "patch/auroc_opacity_vs_healthy": "patch AUROC {anomaly} / {healthy}",
    "patch/macro_f1": "patch macro F1 of the three kinds",
    "patch/auroc_pneumonia_vs_normal": "patch AUROC {abnormal} / normal origin",
    "patch/auroc_pneumonia_vs_normal_in_lung": "  in the {region}",
    "pixel/auroc": "pixel AUROC {anomaly} / rest",
    "pixel/auroc_in_lung": "  in the {region}",
    "pixel/average_precision": "pixel average precision",
    "pixel/pro_in_lung": "per-region overlap in the {region}",
    "pixel/pointing_game_in_lung": "pointing game in the {region}",
    "image/auroc": "image AUROC {abnormal} / normal",
    "image/auroc_in_strata": "  median in strata by sharpness of the centre",
    "image/auroc_matched": "  matched in aspect, sharpness, intensity",
    "image/average_precision": "image average precision",
}


# Those that `HEADLINE` words below another, by themselves.
_BY_ITSELF = {
    "pixel/auroc_in_lung": "pixels in the {region}, AUROC {anomaly} / {healthy}",
    "patch/auroc_pneumonia_vs_normal_in_lung": "patches in the {region}, AUROC {abnormal} / normal origin",
    "image/auroc_in_strata": "{images}, median AUROC in strata by sharpness of the centre",
    "image/auroc_matched": "{images} matched in aspect, sharpness and intensity, AUROC {abnormal} / normal",
}


# Parts of keys in words.
_IN_KEYS = {
    "auroc": "AUROC",
    "sad": "SAD",
    "healthy": "{healthy}",
    "opacity": "{anomaly}",
    "pneumonia": "{abnormal}",
    "lung": "{region}",
    "patients": "{patients}",
}


def metric_words(key: str) -> str:
    """Name a figure in words that stand by themselves, as on an axis: a template of `labels.Vocabulary.fill`.

    Args:
        key: Key of the figure, as in `metrics.json` or `leaderboard.csv`.

    >>> metric_words("same_pixels/auroc_in_lung")
    'pixels in the {region}, AUROC {anomaly} / {healthy} (the same pixels for all)'
    >>> metric_words("image/auroc"), metric_words("patch/sad_median_healthy")
    ('image AUROC {abnormal} / normal', 'patch SAD median {healthy}')
    """
    if key.startswith(SAME_PIXELS):
        return f"{metric_words(key.replace(SAME_PIXELS, 'pixel/'))} (the same pixels for all)"
    if key in _BY_ITSELF:
        return _BY_ITSELF[key]
    words = re.split("[/_]", key)
    return HEADLINE.get(key, " ".join(_IN_KEYS.get(word, word) for word in words))


# Groups of windows, by the end of their key `patch/sad_median_...`.
MEDIANS = {
    "normal_lung": "normal {region}",
    "healthy": "{healthy}",
    "opacity": "{anomaly}",
    "outside": "outside",
    "pneumonia": "{abnormal}",
}


def figure_with_interval(metrics: Mapping[str, Any], key: str) -> str:
    """Format a figure with its interval if it has one; a dash where the figure is missing.

    Args:
        metrics: Figures by key, as in `metrics.json`.
        key: Key of the figure.

    >>> figure_with_interval({"image/auroc": 0.5, "image/auroc_low": 0.4, "image/auroc_high": 0.6}, "image/auroc")
    '0.500 (0.400–0.600)'
    """
    if key not in metrics:
        return "–"
    interval = f" ({metrics[f'{key}_low']:.3f}–{metrics[f'{key}_high']:.3f})" if f"{key}_low" in metrics else ""
    return f"{metrics[key]:.3f}{interval}"
