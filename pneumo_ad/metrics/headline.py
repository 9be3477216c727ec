"""The keys of `metrics.json`: what is measured of a set of scored radiographs, and what is left out and why."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pneumo_ad.metrics.kinds import HEALTHY, KINDS, OPACITY, OUTSIDE, PADDING, macro_f1
from pneumo_ad.metrics.ranking import auroc_with_interval, average_precision

LEAST_IMAGES = 5  # of each class; with fewer a metric is left out and named


@dataclass
class Evidence:
    """What is known about I radiographs of N windows each.

    Attributes:
        patient: (I,) number of the patient.
        normal: (I,) bool, labelled normal.
        pneumonia: (I,) bool, labelled pneumonia.
        kind: (I, N) true kinds of windows (`kinds`); UNKNOWN where masks are missing.
        lung_share: (I, N) share of each window inside the lung field.
        pixel_truth: By row, (M,) uint8 of the covered pixels inside a radiograph whose masks are known: 0 outside the
            lung, 1 healthy lung, 2 opacity.
    """

    patient: npt.NDArray[np.integer]
    normal: npt.NDArray[np.bool_]
    pneumonia: npt.NDArray[np.bool_]
    kind: npt.NDArray[np.int8]
    lung_share: npt.NDArray[np.float64]
    pixel_truth: dict[int, npt.NDArray[np.uint8]] = field(default_factory=dict)


@dataclass
class Measured:
    """What a score says about the same radiographs.

    Attributes:
        window: (I, N) score of each window.
        kind: (I, N) predicted kinds, or None where no thresholds could be fitted.
        pixel: By row, (M,) anomaly map at the pixels of `Evidence.pixel_truth`.
    """

    window: npt.NDArray[np.float32]
    kind: npt.NDArray[np.int8] | None
    pixel: dict[int, npt.NDArray[np.float32]]


MOSTLY_LUNG = 0.5


def image_scores(window: npt.NDArray[np.floating], lung_share: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """(I, N) twice -> (I,) mean over the windows that are mostly lung; NaN for a radiograph without any."""
    inside = lung_share > MOSTLY_LUNG
    total = np.where(inside, window, 0).sum(axis=1, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        return total / inside.sum(axis=1)


class _Ledger:
    """Collects metrics, and for those that the data do not allow the reason why."""

    def __init__(self) -> None:
        self.metrics: dict[str, float] = {}
        self.omitted: dict[str, str] = {}

    def rank(
        self,
        key: str,
        scores: npt.NDArray[np.floating],
        positive: npt.NDArray[np.bool_],
        negative: npt.NDArray[np.bool_],
        image: npt.NDArray[np.integer],
        patient: npt.NDArray[np.integer],
        names: tuple[str, str],
        precision: bool = False,
    ) -> None:
        """AUROC (or average precision) of positives above negatives; `image` tells whose each score is."""
        for chosen, name in ((positive, names[0]), (negative, names[1])):
            n = len(np.unique(image[chosen]))
            if n < LEAST_IMAGES:
                self.omitted[key] = f"{n} radiographs with {name}; at least {LEAST_IMAGES} are needed"
                return
        both = positive | negative
        if precision:
            self.metrics[key] = average_precision(scores[both], positive[both])
            return
        interval = auroc_with_interval(scores[both], positive[both], patient[image[both]])
        self.metrics |= {key: interval.value, f"{key}_low": interval.low, f"{key}_high": interval.high}


def headline(evidence: Evidence, measured: Measured) -> tuple[dict[str, float], dict[str, str]]:
    """Every metric that the data allow, and the reason for each that they do not.

    Returns:
        `metrics` with the keys `patch/...`, `pixel/...` and `image/...`, each AUROC with `_low` and `_high`; and
        `omitted`, key -> reason.
    """
    ledger = _Ledger()
    images, windows = measured.window.shape
    image = np.repeat(np.arange(images), windows)
    score, kind, inside = measured.window.ravel(), evidence.kind.ravel(), evidence.lung_share.ravel() > MOSTLY_LUNG
    real = kind != PADDING
    for name, positive in (("opacity", OPACITY), ("outside", OUTSIDE)):
        ledger.rank(
            f"patch/auroc_{name}_vs_healthy",
            score,
            kind == positive,
            kind == HEALTHY,
            image,
            evidence.patient,
            (f"{name} patches", "healthy-lung patches"),
        )
    _add_f1(ledger, evidence, measured)
    sick, well = evidence.pneumonia[image] & real, evidence.normal[image] & real
    origin = ("pneumonia patches", "normal patches")
    ledger.rank("patch/auroc_pneumonia_vs_normal", score, sick, well, image, evidence.patient, origin)
    ledger.rank(
        "patch/auroc_pneumonia_vs_normal_in_lung",
        score,
        sick & inside,
        well & inside,
        image,
        evidence.patient,
        ("pneumonia patches in the lung", "normal patches in the lung"),
    )
    _add_pixels(ledger, evidence, measured)
    per_image = image_scores(measured.window, evidence.lung_share)
    seen = ~np.isnan(per_image)
    for key, precision in (("image/auroc", False), ("image/average_precision", True)):
        ledger.rank(
            key,
            per_image,
            evidence.pneumonia & seen,
            evidence.normal & seen,
            np.arange(images),
            evidence.patient,
            ("pneumonia (and a lung field)", "normal (and a lung field)"),
            precision,
        )
    return ledger.metrics, ledger.omitted


def _add_f1(ledger: _Ledger, evidence: Evidence, measured: Measured) -> None:
    key = "patch/macro_f1"
    for kind in (HEALTHY, OPACITY, OUTSIDE):
        n = int((evidence.kind == kind).any(axis=1).sum())
        if n < LEAST_IMAGES:
            ledger.omitted[key] = f"{n} radiographs with {KINDS[kind]} patches; at least {LEAST_IMAGES} are needed"
            return
    if measured.kind is None:
        ledger.omitted[key] = "no thresholds: validation holds no scores to fit them on"
        return
    ledger.metrics[key] = macro_f1(evidence.kind.ravel(), measured.kind.ravel())


def _add_pixels(ledger: _Ledger, evidence: Evidence, measured: Measured) -> None:
    rows = sorted(evidence.pixel_truth)
    empty = np.zeros(0)
    truth = np.concatenate([evidence.pixel_truth[row] for row in rows]) if rows else empty
    score = np.concatenate([measured.pixel[row] for row in rows]) if rows else empty
    image = np.repeat(rows, [len(evidence.pixel_truth[row]) for row in rows]).astype(np.int64)
    opaque, healthy = truth == 2, truth == 1
    names = ("opacity pixels", "other pixels")
    ledger.rank("pixel/auroc", score, opaque, ~opaque, image, evidence.patient, names)
    ledger.rank(
        "pixel/auroc_in_lung",
        score,
        opaque,
        healthy,
        image,
        evidence.patient,
        ("opacity pixels", "healthy lung pixels"),
    )
    ledger.rank("pixel/average_precision", score, opaque, ~opaque, image, evidence.patient, names, precision=True)


def sad_medians(sad: npt.NDArray[np.floating], evidence: Evidence) -> tuple[dict[str, float], dict[str, str]]:
    """Median SAD in grey levels of each kind of window, of windows wholly inside normal lungs, of pneumonia windows.

    Returns:
        `patch/sad_median_...` and, for those without a window, the reason.
    """
    groups = {KINDS[kind]: evidence.kind == kind for kind in (HEALTHY, OPACITY, OUTSIDE)}
    real = evidence.kind != PADDING
    groups["normal_lung"] = evidence.normal[:, None] & (evidence.lung_share == 1) & real
    groups["pneumonia"] = evidence.pneumonia[:, None] & real
    metrics, omitted = {}, {}
    for name, chosen in groups.items():
        n = int(chosen.any(axis=1).sum())
        if n < LEAST_IMAGES:
            omitted[f"patch/sad_median_{name}"] = (
                f"{n} radiographs with such patches; at least {LEAST_IMAGES} are needed"
            )
        else:
            metrics[f"patch/sad_median_{name}"] = float(np.median(sad[chosen]))
    return metrics, omitted


def counts(evidence: Evidence) -> dict[str, int]:
    """`counts/...`: radiographs by label, patients, windows by true kind."""
    found = {
        "counts/images": len(evidence.patient),
        "counts/images_normal": int(evidence.normal.sum()),
        "counts/images_pneumonia": int(evidence.pneumonia.sum()),
        "counts/images_other": int((~evidence.normal & ~evidence.pneumonia).sum()),
        "counts/images_without_lung": int((~(evidence.lung_share > MOSTLY_LUNG).any(axis=1)).sum()),
        "counts/images_with_truth": len(evidence.pixel_truth),
        "counts/patients": len(np.unique(evidence.patient)),
        "counts/patches": evidence.kind.size,
    }
    return found | {f"counts/patches_{name}": int((evidence.kind == kind).sum()) for kind, name in enumerate(KINDS)}
