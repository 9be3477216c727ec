"""Metrics within subgroups: by view, finding, kind of pneumonia, or any other descriptive column of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from pneumo_ad.labels import HEALTHY, IN_OPACITY, OPACITY, OUTSIDE_LUNG
from pneumo_ad.metrics.catalogue import LEAST_IMAGES, GroundTruth, MeasuredScore, scarcity
from pneumo_ad.metrics.ranking import auroc_with_interval

MOST_VALUES = 12  # commonest values of a column; the rest, and values of fewer than LEAST_IMAGES, share a row
METRICS = ("image/auroc", "pixel/auroc_in_lung", "patch/auroc_opacity_vs_healthy")
SAME, ALL_NORMAL = "normal of the same value", "all normal"


@dataclass(frozen=True)
class Subgroup:
    """The radiographs of one value of a column.

    Attributes:
        column: Name of the column.
        value: The value; "not given" for blank cells, "others (n values)" for the rarer ones.
        images: Number of radiographs with that value, of any label.
        normal: Number of them labelled normal.
        pneumonia: Number of them labelled pneumonia.
        against: Normal radiographs that pneumonia is compared with: `SAME` or `ALL_NORMAL`.
        metrics: Values of the `METRICS` that the data allow, with `_low` and `_high`.
        omitted: Key -> reason, for the other `METRICS`; a template of `labels.Vocabulary.fill`.
    """

    column: str
    value: str
    images: int
    normal: int
    pneumonia: int
    against: str
    metrics: dict[str, float]
    omitted: dict[str, str]


def subgroups(
    columns: pd.DataFrame, evidence: GroundTruth, measured: MeasuredScore
) -> tuple[list[Subgroup], dict[str, str]]:
    """Compute AUROCs of image, pixels in the lung and patches within each value of each column.

    If normal and pneumonia radiographs share values of a column, for example views, a subgroup is the radiographs of
    one value: pneumonia of a view is compared with normals of that view. In a column about pneumonia alone, for example
    findings, all normal radiographs join each subgroup.

    Args:
        columns: (I, C) descriptions of the radiographs of `evidence` in words, blank or missing where not known.
        evidence: Ground truth of the I radiographs.
        measured: Scores of the radiographs, their windows and pixels; NaN of a radiograph (no lung field) is left out.

    Returns:
        One `Subgroup` per column and value, the commonest value first; and column -> reason for columns without
        subgroups: ids, file names and the like, where no value has `LEAST_IMAGES` radiographs, and columns of a single
        value.
    """
    assert len(columns) == len(evidence.patient) == len(measured.image)
    rows: list[Subgroup] = []
    skipped: dict[str, str] = {}
    for column in map(str, columns):
        words = columns[column].fillna("").astype(str).str.strip().to_numpy(dtype=str)
        counted = pd.Series(words[words != ""]).value_counts().sort_index().sort_values(ascending=False, kind="stable")
        if not len(counted) or counted.iloc[0] < LEAST_IMAGES:
            skipped[column] = (
                f"no value is that of {LEAST_IMAGES} {{images}} ({len(counted)} values in {counted.sum()} {{images}})"
            )
            continue
        if len(np.unique(words)) == 1:
            skipped[column] = f"{counted.index[0]!r} is the value of all {{images}}"
            continue
        shared = set(words[evidence.normal]) & set(words[evidence.pneumonia]) - {""}
        for value, members in _groups(words, counted):
            chosen = members if shared else members | evidence.normal
            normal, pneumonia = (int((members & label).sum()) for label in (evidence.normal, evidence.pneumonia))
            found = _within(chosen, evidence, measured)
            against = SAME if shared else ALL_NORMAL
            rows.append(Subgroup(column, value, int(members.sum()), normal, pneumonia, against, *found))
    return rows, skipped


def subgroup_table(rows: Sequence[Subgroup]) -> pd.DataFrame:
    """Build a table with a row per subgroup, a column per metric (NaN where left out) and reasons as text."""
    lines = []
    for row in rows:
        line = asdict(row)
        measured = line.pop("metrics")
        reasons = "; ".join(f"{key}: {reason}" for key, reason in line.pop("omitted").items())
        ends = {f"{key}{end}": measured.get(f"{key}{end}", np.nan) for key in METRICS for end in ("", "_low", "_high")}
        lines.append(line | ends | {"omitted": reasons})
    return pd.DataFrame(lines)


def _groups(words: npt.NDArray[np.str_], counted: pd.Series) -> list[tuple[str, npt.NDArray[np.bool_]]]:
    """Return name and (I,) members of each value (commonest first), of the rarer values together, and of blanks."""
    frequent = int((counted.iloc[:MOST_VALUES] >= LEAST_IMAGES).sum())
    rarer = list(counted.index[frequent:])
    groups = [(str(value), words == value) for value in counted.index[:frequent]]
    if rarer:
        name = f"others ({len(rarer)} values)" if len(rarer) > 1 else rarer[0]
        groups.append((name, np.isin(words, rarer)))
    blank = words == ""
    return [*groups, ("not given", blank)] if blank.any() else groups


def _within(
    chosen: npt.NDArray[np.bool_], evidence: GroundTruth, measured: MeasuredScore
) -> tuple[dict[str, float], dict[str, str]]:
    """Compute `METRICS` of the chosen radiographs, and give the reason for each that they do not allow."""
    labelled = np.flatnonzero(chosen & (evidence.normal | evidence.pneumonia) & ~np.isnan(measured.image))
    truth, pixel, owner = _lung_pixels(chosen, evidence, measured)
    usable = chosen[:, None] & np.isin(evidence.kind, (OPACITY, HEALTHY))
    opaque, of_window = evidence.kind[usable] == OPACITY, np.nonzero(usable)[0]
    # For each metric: scores, positives, radiograph of each sample, names of both classes.
    ranked: tuple[tuple[npt.NDArray[np.floating], npt.NDArray[np.bool_], npt.NDArray[np.integer], str, str], ...] = (
        (measured.image[labelled], evidence.pneumonia[labelled], labelled, "the label {abnormal}", "the label normal"),
        (pixel, truth == IN_OPACITY, owner, "{anomaly} pixels", "{healthy} pixels"),
        (measured.window[usable], opaque, of_window, "{anomaly} patches", "{healthy} patches"),
    )
    metrics: dict[str, float] = {}
    omitted: dict[str, str] = {}
    for key, (score, positive, image, *names) in zip(METRICS, ranked, strict=True):
        counts = [len(np.unique(image[members])) for members in (positive, ~positive)]
        fewest = counts.index(min(counts))
        if reason := scarcity(counts[fewest], f"{{images}} with {names[fewest]}"):
            omitted[key] = reason
            continue
        metrics |= auroc_with_interval(score, positive, evidence.patient[image]).keyed(key)
    return metrics, omitted


def _lung_pixels(
    chosen: npt.NDArray[np.bool_], evidence: GroundTruth, measured: MeasuredScore
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Return truth, score and radiograph of every known pixel inside the lungs of the chosen radiographs."""
    truth, score, owner = [np.zeros(0, np.int8)], [np.zeros(0, np.float32)], [np.zeros(0, np.int64)]
    for row in sorted(evidence.pixel_truth):
        if chosen[row]:
            inside = evidence.pixel_truth[row] > OUTSIDE_LUNG
            truth.append(evidence.pixel_truth[row][inside])
            score.append(measured.pixel[row][inside])
            owner.append(np.full(int(inside.sum()), row))
    return np.concatenate(truth), np.concatenate(score), np.concatenate(owner)
