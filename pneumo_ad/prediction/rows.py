"""Rows of `predictions.csv` and `failed.csv`, one per file."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pneumo_ad.files import atomic_write
from pneumo_ad.inference.predictor import Calibration, Prediction
from pneumo_ad.labels import HEALTHY, KINDS, OPACITY, OUTSIDE, RADIOGRAPH, Vocabulary
from pneumo_ad.prediction.decoding import Decoded
from pneumo_ad.prediction.remarks import remarks, voiding

Row = dict[str, Any]

_KINDS = {f"windows_{KINDS[kind]}": kind for kind in (HEALTHY, OPACITY, OUTSIDE)}
PREDICTIONS = (
    *("file", "height", "width", "score", "unit", "percentile", "p_value", "normals", "anomalous", "lung_area"),
    *_KINDS,
    *("map", "map_low", "map_high", "overlay", "dicom", "warnings"),
)
FAILED = ("file", "kind", "reason")


def rows(
    names: Sequence[str],
    decoded: Sequence[Decoded],
    judged: Prediction,
    standard: Calibration,
    terms: Vocabulary = RADIOGRAPH,
) -> list[Row]:
    """Build rows of `predictions.csv`, without columns of pictures; None where a value is not known.

    A file by whose warnings the score means nothing (`remarks.voiding`) keeps its score and gets no decision.

    Args:
        names: Names of the files.
        decoded: Decoded files.
        judged: Prediction for these files.
        standard: Calibration of the scores.
        terms: Words of the predictor, for the column of warnings.
    """
    percentiles, p_values = standard.percentiles(judged.scores), standard.p_values(judged.scores)
    decisions = standard.decisions(judged.scores)
    table = []
    for i, (name, read) in enumerate(zip(names, decoded, strict=True)):
        field = read.placement.inner(judged.lung_fields[i])
        thresholds = standard.thresholds if judged.finite[i] else None
        kinds = judged.kinds(i, thresholds)[judged.inside[i]] if thresholds is not None else np.zeros(0)
        predictable = thresholds.kinds if thresholds is not None else ()
        row: Row = {"file": name, "height": read.size[0], "width": read.size[1]}
        row |= {"score": number(judged.scores[i]), "unit": standard.unit}
        row |= {"percentile": number(percentiles[i]), "p_value": number(p_values[i])}
        row |= {"normals": len(standard.normals)}
        row["lung_area"] = float(field.mean())
        row |= {column: int((kinds == kind).sum()) if kind in predictable else None for column, kind in _KINDS.items()}
        odd = remarks(read.placement.inner(read.image), field, read.size, field.shape, terms)
        odd += [] if field.all() else read.doubts  # which are doubts of a chest
        if not judged.finite[i]:
            odd.insert(0, "what the net gives is not finite")
        elif np.isnan(judged.scores[i]) and field.any():
            odd.insert(0, f"no window lies in the {terms.field}")
        row["warnings"] = "; ".join(odd)
        table.append(row | {"anomalous": None if voiding(row["warnings"]) else decisions[i]})
    return table


def number(value: float | np.floating) -> float | None:
    """Convert a number for JSON: a float, or None for NaN.

    >>> number(np.float64(1.5)), number(float("nan"))
    (1.5, None)
    """
    return None if math.isnan(value) else float(value)


def write_table(path: Path, columns: Sequence[str], table: Iterable[Mapping[str, Any]]) -> None:
    """Write a csv atomically: UTF-8, words quoted, floats with six significant digits, None empty.

    Names are `printable` already. A spreadsheet may take one that begins with `=`, `+`, `-` or `@` for a formula:
    import the column as text.

    Args:
        path: Csv file to write.
        columns: Names of the columns, in order.
        table: Rows; a missing column is left empty.
    """
    with atomic_write(path) as aside, aside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
        writer.writerow(columns)
        for row in table:
            values = (row.get(column) for column in columns)
            writer.writerow([float(f"{value:.6g}") if isinstance(value, float) else value for value in values])
