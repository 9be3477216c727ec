"""Content of a report as arrays and words, for trained runs and for predicted files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from pneumo_ad.labels import RADIOGRAPH, Vocabulary
from pneumo_ad.metrics.thresholds import Thresholds

# Names of layers in display order; others may be added. `Page.layer_words` names them for the reader.
RECONSTRUCTION = "reconstruction"
RESIDUAL = "residual"
ANOMALY_MAP = "anomaly map"
LUNG_FIELD = "lung field"
TRUTH = "opacity (truth)"
MARKED = "marked"


@dataclass(frozen=True)
class Windows:
    """Windows of one radiograph, in pixels of its picture.

    Attributes:
        top: (N,) first row of each window.
        left: (N,) first column of each window.
        side: Side of each window in pixels.
        scores: (N,) float, higher is more anomalous.
        kind_true: (N,) index into `labels.KINDS`, `UNKNOWN` where not known; None where no kind is known.
        kind_predicted: (N,) index into `labels.KINDS`, or None without thresholds.
    """

    top: npt.NDArray[np.integer]
    left: npt.NDArray[np.integer]
    side: int
    scores: npt.NDArray[np.floating]
    kind_true: npt.NDArray[np.integer] | None = None
    kind_predicted: npt.NDArray[np.integer] | None = None

    def __post_init__(self) -> None:
        for values in (self.top, self.left, self.kind_true, self.kind_predicted):
            assert values is None or values.shape == self.scores.shape, "one entry per window"
        assert np.isfinite(self.scores).all(), "a window without a score is no window"


@dataclass(frozen=True)
class Radiograph:
    """One radiograph of a report.

    Attributes:
        name: File name for the reader; any characters.
        picture: (H, W) uint8 grey levels, as the net saw them.
        windows: Scored windows; N may be 0.
        label: `normal`, `pneumonia` or `other`; "" where not known.
        score: Score of the radiograph, or None where it has none (no lung field).
        p_value: Conformal p-value among held-out normals, or None.
        anomalous: Decision at the declared false-alarm rate, or None.
        layers: Name -> (H, W) layer. The dtype decides the display: uint8 are grey levels, bool are masks (outlined),
            floats are maps (coloured on one scale for all radiographs; NaN stays empty).
        aspect: Width over height of the file, at which the picture is shown; None shows square pixels.
        remarks: Further remarks for the reader, warnings first.
    """

    name: str
    picture: npt.NDArray[np.uint8]
    windows: Windows
    label: str = ""
    score: float | None = None
    p_value: float | None = None
    anomalous: bool | None = None
    layers: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    aspect: float | None = None
    remarks: Sequence[str] = ()

    def __post_init__(self) -> None:
        assert self.picture.ndim == 2
        assert self.picture.dtype == np.uint8
        for name, layer in self.layers.items():
            assert layer.shape == self.picture.shape, f"{name}: (H, W) of the picture"


def layers_of(
    anomaly: npt.NDArray[np.floating],
    lung_field: npt.NDArray[np.bool_] | None,
    everywhere: bool,
    reconstruction: tuple[npt.NDArray[np.uint8], npt.NDArray[np.floating]] | None = None,
    truth: npt.NDArray[np.bool_] | None = None,
    marked_above: float | None = None,
) -> dict[str, npt.NDArray[Any]]:
    """Collect the known layers of a radiograph in display order.

    Args:
        anomaly: (H, W) anomaly map, NaN where no window lies.
        lung_field: (H, W) bool lung field, or None with `lungs=none`.
        everywhere: Whether the map is valid outside the lung field too (`Score.orders_outside`); else it is empty
            there.
        reconstruction: (H, W) grey levels of the reconstruction and (H, W) residual, or None.
        truth: (H, W) bool opacities, or None where not known.
        marked_above: Value above which pixels of the map are marked, by a contour; None marks none.
    """
    if lung_field is not None and not everywhere:
        anomaly = np.where(lung_field, anomaly, np.float32(np.nan))
    made, residual = reconstruction or (None, None)
    marked = None if marked_above is None else np.nan_to_num(anomaly, nan=-np.inf) > marked_above
    pictures: dict[str, npt.NDArray[Any] | None] = {RECONSTRUCTION: made, RESIDUAL: residual, ANOMALY_MAP: anomaly}
    layers = pictures | {MARKED: marked, LUNG_FIELD: lung_field, TRUTH: truth}
    return {name: layer for name, layer in layers.items() if layer is not None}


def marked_words(above: float | None, unit: str, terms: Vocabulary = RADIOGRAPH) -> str:
    """Explain the contour of what is marked; empty where nothing is.

    Args:
        above: Value above which pixels of the map are marked: the 99 % quantile of held-out normal lung.
        unit: Unit of the score.
        terms: Words for what the images show.

    >>> marked_words(2.5, "grey levels per pixel")
    'Marked: above 2.5 grey levels per pixel, where 99 % of held-out normal lung ends.'
    """
    ends = f"where 99 % of held-out normal {terms.region} ends."
    return "" if above is None else f"Marked: above {above:.3g} {unit}, {ends}"


@dataclass(frozen=True)
class Headline:
    """A row of the headline table.

    Attributes:
        metric: Metric in words; two leading spaces where it refines the row above.
        value: Value of the metric.
        low: Lower end of its 95 % interval, or None.
        high: Upper end, or None.
        shortcut: AUROC of the best score that needs no model, on the same samples, or None.
        shortcut_name: Name of that score in words.
    """

    metric: str
    value: float
    low: float | None = None
    high: float | None = None
    shortcut: float | None = None
    shortcut_name: str = ""


@dataclass(frozen=True)
class Page:
    """Content of a report.

    Attributes:
        title: Title in one line.
        subtitle: One or two lines on the data and the model.
        score_name: Name of the score, for example `SAD`.
        unit: Unit of the score, for example `grey levels per pixel`.
        radiographs: Radiographs to show, in any order.
        thresholds: Thresholds between the kinds of window, or None.
        normals: Number of held-out normals behind p-values, or None where it was not recorded.
        whose: Name of these normals, which follows their number.
        headline: Rows of the table of metrics; empty leaves the table out.
        map_scales: Name of layer -> values of a map at both ends of its colours; other layers are scaled by the lungs
            shown.
        marked: Sentence on the area that the contour `MARKED` of the radiographs encloses, or empty.
        notes: Sentences for the reader: omissions with reasons, and known limits.
        config: The run's config, as text.
        vocabulary: Words for what the images show.
    """

    title: str
    subtitle: str
    score_name: str
    unit: str
    radiographs: Sequence[Radiograph]
    thresholds: Thresholds | None = None
    normals: int | None = None
    whose: str = "held-out normals"
    headline: Sequence[Headline] = ()
    map_scales: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    marked: str = ""
    notes: Sequence[str] = ()
    config: str = ""
    vocabulary: Vocabulary = RADIOGRAPH

    def layer_words(self, name: str) -> str:
        """Return the name of a layer for the reader."""
        return self.vocabulary.fill({LUNG_FIELD: "{field}", TRUTH: "{anomaly} (truth)"}.get(name, name))
