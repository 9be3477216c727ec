"""Histogram with a brush: a row for each kind of window, on one scale of scores.

Counts are computed here, so that the cost of a brush does not depend on the number of windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import altair as alt
import numpy as np
import numpy.typing as npt

from pneumo_ad.figures.histograms import counted_words
from pneumo_ad.figures.style import COLOURS, NAMES, RED
from pneumo_ad.labels import HEALTHY, KINDS, MIXED, OPACITY, OUTSIDE, RADIOGRAPH, UNKNOWN, Vocabulary
from pneumo_ad.report.page import Page, Radiograph

BRUSH = "brush"
_BINS = 80
_ROW = 58  # pixels
_FULL = 0.68  # height of the highest bar as a share of the row; the row's name is above it
_MOST = 0.995  # quantile of scores at the end of the last bar, unless the highest score is near


@dataclass(frozen=True)
class WindowGroup:
    """Group of windows, a row of the histogram.

    Attributes:
        name: Name in words, a template of `labels.Vocabulary.fill` until `grouped`.
        colour: Colour of the bars.
    """

    name: str
    colour: str


_KINDS = {
    **{kind: WindowGroup(NAMES[KINDS[kind]], COLOURS[KINDS[kind]]) for kind in (HEALTHY, OPACITY, OUTSIDE)},
    MIXED: WindowGroup("mixed", "#7570b3"),
    UNKNOWN: WindowGroup("kind not known", "#a6761d"),
}
_CLASSES = {
    "normal": WindowGroup("of normal {images}", COLOURS["normal"]),
    "pneumonia": WindowGroup("of {abnormal} {images}", COLOURS["pneumonia"]),
    "other": WindowGroup("of other {images}", COLOURS["outside"]),
    "": WindowGroup("of {images} without a label", COLOURS["healthy"]),
}


def grouped(
    radiographs: Sequence[Radiograph], terms: Vocabulary = RADIOGRAPH
) -> tuple[list[WindowGroup], list[npt.NDArray[np.uint8]]]:
    """Group windows into rows of the histogram: by true kind where any is known, else by class.

    Args:
        radiographs: Radiographs of the page.
        terms: Words for what the images show.

    Returns:
        The groups that have windows, and for each radiograph (N,) uint8, the index of each window's group.
    """
    by_kind = any(one.windows.kind_true is not None and (one.windows.kind_true != UNKNOWN).any() for one in radiographs)
    named: dict[Any, WindowGroup] = _KINDS if by_kind else _CLASSES
    order = list(named)
    keys: list[npt.NDArray[np.int64]] = []
    for one in radiographs:
        kinds = one.windows.kind_true if by_kind else None
        same = UNKNOWN if by_kind else one.label  # of all its windows, where there are no kinds
        own = [same] * len(one.windows.scores) if kinds is None else kinds.tolist()
        keys.append(np.array([order.index(key) for key in own], dtype=np.int64))
    present = np.unique(np.concatenate([*keys, np.zeros(0, dtype=np.int64)]))
    groups = [named[order[place]] for place in present]
    spoken = [replace(group, name=terms.fill(group.name)) for group in groups]
    return spoken, [np.searchsorted(present, own).astype(np.uint8) for own in keys]


def score_edges(scores: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Compute the (81,) edges of the bars; the last bar holds all scores above where the highest are far away.

    >>> score_edges(np.array([0.0, 1.0]))[[0, -1]]
    array([0., 1.])
    """
    if not scores.size:
        return np.linspace(0, 1, _BINS + 1)
    low, nearly_all, high = (float(np.quantile(scores, share)) for share in (0, _MOST, 1))
    if high - low > 1.2 * (nearly_all - low) > 0:
        high = nearly_all
    return np.linspace(low, high if high > low else low + 1, _BINS + 1)


def linked_histogram(
    page: Page, groups: Sequence[WindowGroup], of: Sequence[npt.NDArray[np.uint8]], edges: npt.NDArray[np.float64]
) -> dict[str, Any]:
    """Build a Vega-Lite specification with the interval selection `brush` over scores.

    The brushed part is drawn a second time over the paler whole, clipped to the brush: a condition on the bars could
    only highlight whole bars.

    Args:
        page: Page with the windows to count.
        groups: Groups, from `grouped`.
        of: (N,) index of each window's group for each radiograph, from `grouped`.
        edges: (81,) edges of the bars, from `score_edges`.
    """
    scores = np.concatenate([*(shown.windows.scores for shown in page.radiographs), np.zeros(0)])
    group = np.concatenate([*of, np.zeros(0, dtype=np.uint8)])
    bars, names = [], []
    for number, row in enumerate(groups):
        of_group = scores[group == number]
        counts = np.histogram(np.minimum(of_group, edges[-1]), edges)[0]
        floor = len(groups) - 1 - number
        bars += [
            {"group": row.name, "start": start, "end": end, "floor": floor, "top": floor + _FULL * count / counts.max()}
            for start, end, count in zip(edges[:-1].tolist(), edges[1:].tolist(), counts.tolist(), strict=True)
            if count
        ]
        counted = counted_words(len(of_group), sum(bool((own == number).any()) for own in of), "windows")
        counted = page.vocabulary.fill(counted)
        names.append({"at": float(edges[-1]), "y": floor + 0.95, "words": f"{row.name}: {counted}"})
    limits = [float(edges[0]), float(edges[-1])]
    x = alt.X("start:Q", title=f"{page.score_name} ({page.unit})").scale(domain=limits, nice=False, zero=False)
    y = alt.Y("floor:Q", title=None, axis=None).scale(domain=[0, max(len(groups), 1)], nice=False)
    colour = alt.Color("group:N", legend=None).scale(
        domain=[row.name for row in groups], range=[row.colour for row in groups]
    )
    brush = alt.selection_interval(
        name=BRUSH, encodings=["x"], mark=alt.BrushConfig(fill=RED, fillOpacity=0.12, stroke=RED, strokeWidth=1.5)
    )
    chart = alt.Chart(alt.Data(values=bars)).encode(y=y, y2="top:Q", color=colour)
    pale = alt.ExprRef(f"isValid({BRUSH}.start) ? 0.3 : 1")
    everything = chart.mark_rect(opacity=pale).encode(x=x, x2="end:Q").add_params(brush)
    brushed = (
        chart.transform_filter(
            f"isValid({BRUSH}.start) && datum.end > {BRUSH}.start[0] && datum.start < {BRUSH}.start[1]"
        )
        .transform_calculate(a=f"max(datum.start, {BRUSH}.start[0])", b=f"min(datum.end, {BRUSH}.start[1])")
        .mark_rect()
        .encode(x="a:Q", x2="b:Q")
    )
    words = (
        alt.Chart(alt.Data(values=names))
        .mark_text(align="right", baseline="top", fontSize=12)
        .encode(x="at:Q", y="y:Q", text="words:N")
    )
    layers = [everything, brushed, words]
    if page.thresholds is not None:
        inside = [{"at": value} for value in page.thresholds.finite if limits[0] < value < limits[1]]
        rules = alt.Chart(alt.Data(values=inside)).mark_rule(strokeDash=[5, 3], strokeWidth=1.5).encode(x="at:Q")
        layers.append(rules)
    drawn = (
        alt.layer(*layers)
        .properties(width="container", height=_ROW * max(len(groups), 1), background="transparent")
        .configure(font="system-ui, sans-serif")
        .configure_view(stroke=None)
        .configure_axis(grid=False, labelFontSize=12, titleFontSize=12, titleFontWeight="normal")
    )
    spec: dict[str, Any] = drawn.to_dict()
    del spec["$schema"]  # a URL, which is never fetched; left out so that the file holds no address
    return spec
