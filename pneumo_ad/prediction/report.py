"""Report of predicted files: the most anomalous, and others for comparison."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pneumo_ad.data.evenly_spaced import evenly_spaced
from pneumo_ad.data.progress import progress_bar
from pneumo_ad.errors import DataError
from pneumo_ad.inference.predictor import Prediction, Predictor
from pneumo_ad.prediction.decoding import Decoded, decode
from pneumo_ad.prediction.inputs import File, named
from pneumo_ad.prediction.remarks import voiding
from pneumo_ad.prediction.rows import Row
from pneumo_ad.prediction.run_predictor import RunPredictor
from pneumo_ad.report import ANOMALY_MAP, Page, Radiograph, Windows, layers_of, marked_words
from pneumo_ad.scores import score_named, score_words

MOST = 50  # radiographs in a report


def worth_showing(scores: npt.NDArray[np.floating], most: int = MOST) -> npt.NDArray[np.int64]:
    """Choose files to show: half of them the most anomalous, the rest evenly spaced over the others.

    Args:
        scores: (n,) scores, NaN where a file has none.
        most: Largest number of files.

    Returns:
        Places in `scores`, the most anomalous first, those without a score last.

    >>> worth_showing(np.array([1.0, 5, 3, 4, 2, np.nan]), 4).tolist()
    [1, 3, 2, 5]
    """
    order = np.argsort(-np.nan_to_num(scores, nan=-np.inf), kind="stable")
    first, others = order[: (most + 1) // 2], order[(most + 1) // 2 :]
    return np.concatenate([first, others[evenly_spaced(len(others), most - len(first))]])


def page_of_files(judge: Predictor, files: Sequence[File], table: Sequence[Row], about: dict[str, Any]) -> Page:
    """Build the report page of a prediction. Files are read and scored again, since maps are not kept in memory.

    Args:
        judge: Predictor of the files.
        files: Files of the input.
        table: Rows of `predictions.csv`; rows whose file is missing or can no longer be read are left out and named.
        about: Content of `predict.json`.
    """
    by_name = {file.name: file for file in files if file.kind == "radiograph"}
    scores = np.array([np.nan if row["score"] is None else row["score"] for row in table])
    shown, gone = [], []
    marked_above = _marked_above(judge)
    for place in progress_bar(worth_showing(scores), desc="maps of the report", unit="image"):
        row = table[place]
        try:
            shown.append(_radiograph(judge, by_name[row["file"]], row, marked_above))
        except (KeyError, DataError):
            gone.append(row["file"])
    standard, counts, terms = judge.standard, about["counts"], judge.vocabulary
    notes = []
    if len(shown) + len(gone) < len(table):
        notes.append(
            f"{len(shown) + len(gone)} of {len(table):,} files are shown: half of them the most anomalous, the rest "
            "evenly spaced by rank of score. The histogram counts the windows of these; predictions.csv lists all."
        )
    if standard.highest == 1:
        notes.append("A score is no probability, though it ends at 1: it says something beside those of normals alone.")
    if gone:
        notes.append(f"no longer there to be shown: {named(gone)}")
    decided = f"{len(standard.normals)} {standard.whose}; declared false-alarm rate {standard.false_alarm_rate:g}"
    several = f"Which of {counts['predicted']:,} {terms.images} look anomalous"
    return Page(
        title=f"Whether one {terms.image} looks anomalous" if counts["predicted"] == 1 else several,
        subtitle=(
            f"Scored by {score_words(standard.score)}: {counts['anomalous']:,} anomalous, {counts['undecided']:,} "
            f"undecided, {counts['unreadable']:,} unreadable; {decided}. Images of "
            f"{judge.grid.image_size[0]} × {judge.grid.image_size[1]}, patches of {judge.grid.patch} every "
            f"{judge.grid.stride} pixels"
        ),
        score_name=score_words(standard.score),
        unit=standard.unit,
        radiographs=shown,
        thresholds=standard.thresholds,
        normals=len(standard.normals),
        whose=standard.whose,
        map_scales={} if marked_above is None else {ANOMALY_MAP: standard.colours},
        marked=marked_words(marked_above, standard.unit, terms),
        vocabulary=terms,
        notes=notes + about["notes"],
        config="\n".join(f"{key}: {value}" for key, value in about["asked"].items()),
    )


def _marked_above(judge: Predictor) -> float | None:
    """Value at which colours begin: where 99 % of held-out normal lung ends; None without held-out normals."""
    return judge.standard.colours[0] if len(judge.standard.normals) else None


def _radiograph(judge: Predictor, file: File, row: Row, marked_above: float | None) -> Radiograph:
    decoded = decode(file.path, judge.grid, judge.fit, picture=False)
    judged = judge(decoded.image[None], decoded.content[None])
    field = judged.lung_fields[0]
    made = judge.reconstructed(decoded.image, field, decoded.content) if isinstance(judge, RunPredictor) else None
    looked_for = (field != decoded.content).any()  # without lung segmentation the field is all content
    everywhere = score_named(judge.standard.score).orders_outside
    lung_field = field == 1 if looked_for else None
    layers = layers_of(judged.maps[0], lung_field, everywhere, made, marked_above=marked_above)
    undecided = ["undecided, as by the next lines the score means nothing"] if voiding(row["warnings"]) else []
    return Radiograph(
        name=file.name,
        picture=decoded.placement.inner(decoded.image),
        windows=_windows(judge, decoded, judged),
        score=row["score"],
        p_value=row["p_value"],
        anomalous=row["anomalous"],
        layers={name: decoded.placement.inner(layer) for name, layer in layers.items()},  # without padding
        aspect=decoded.size[1] / decoded.size[0],
        remarks=[*undecided, *(words for words in row["warnings"].split("; ") if words)],
    )


def _windows(judge: Predictor, one: Decoded, judged: Prediction) -> Windows:
    """Windows that hold no padding, in pixels of the picture."""
    inside, thresholds = judged.inside[0] & judged.finite, judge.standard.thresholds
    places = judge.grid.positions[inside] - (one.placement.top, one.placement.left)
    kinds = judged.kinds(0, thresholds)[inside] if thresholds is not None else None
    return Windows(places[:, 0], places[:, 1], judge.grid.patch, judged.windows[0][inside], kind_predicted=kinds)
