"""Judged files as a linked report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from pneumo_ad.errors import DataError
from pneumo_ad.prediction.decoding import Decoded, decode
from pneumo_ad.prediction.files import File
from pneumo_ad.prediction.judge import Judge, Judged
from pneumo_ad.prediction.pipeline import CHUNK
from pneumo_ad.prediction.rows import Row
from pneumo_ad.report import ANOMALY_MAP, LUNG_FIELD, Page, Radiograph, Windows

MOST = 50  # radiographs of a page


def chosen(scores: Sequence[float | None], most: int = MOST) -> list[int]:
    """Places to show, rising: the highest scores, half of them, and the rest evenly by rank, those without score last.

    >>> chosen([1.0, 5.0, None, 2.0, 4.0, 3.0], most=4)
    [0, 1, 2, 4]
    """
    order = np.argsort([-np.inf if score is None else score for score in scores], kind="stable")[::-1].tolist()
    top, rest = order[: most // 2], order[most // 2 :]
    spread = np.linspace(0, len(rest) - 1, min(most - len(top), len(rest))).round().astype(int)
    return sorted([*top, *(rest[place] for place in spread)])


def page_of(judge: Judge, predicted: Sequence[Row], files: Mapping[str, File], title: str, config: str) -> Page:
    """What the report of a prediction shows; its radiographs are read and judged once more.

    Args:
        judge: That judged them.
        predicted: Rows of `predictions.csv`.
        files: By name; what is no longer there is left out, and said so.
        title: Of the page.
        config: What was asked for, as text.
    """
    standard = judge.standard
    rows = [predicted[place] for place in chosen([row["score"] for row in predicted])]
    shown: list[Radiograph] = []
    missing = []
    for first in range(0, len(rows), CHUNK):
        readable: list[tuple[Row, Decoded]] = []
        for row in rows[first : first + CHUNK]:
            try:
                readable.append((row, decode(files[row["file"]].path, judge.grid, judge.fit, picture=False)))
            except (KeyError, DataError):
                missing.append(row["file"])
        if readable:
            decoded = [one for _, one in readable]
            judged = judge(np.stack([one.image for one in decoded]), np.stack([one.content for one in decoded]))
            shown += [_shown(judge, row, one, judged, i) for i, (row, one) in enumerate(readable)]
    notes = list(judge.notes)
    if len(shown) < len(predicted):
        notes.append(f"{len(shown):,} of {len(predicted):,} files: the highest scores, the others evenly by rank")
    if missing:
        notes.append(f"no longer there and left out: {', '.join(missing[:5])}{', ...' if len(missing) > 5 else ''}")
    notes.append("a research tool, not a medical device")
    return Page(
        title=title,
        subtitle=f"{standard.score} against {len(standard.normals):,} held-out normal radiographs; declared "
        f"false-alarm rate {standard.false_alarm_rate:g}",
        score_name=standard.score,
        unit=standard.unit,
        radiographs=shown,
        thresholds=standard.thresholds,
        notes=notes,
        config=config,
    )


def _shown(judge: Judge, row: Row, one: Decoded, judged: Judged, i: int) -> Radiograph:
    inside: npt.NDArray[np.bool_] = judged.inside[i]
    corners = judge.grid.positions[inside] - (one.placement.top, one.placement.left)
    scores = judged.windows[i][inside]
    kinds = judge.standard.thresholds.classify(scores) if judge.standard.thresholds is not None else None
    field = one.inner(judged.lung_fields[i]) == 1
    layers: dict[str, npt.NDArray] = {ANOMALY_MAP: one.inner(judged.maps[i])}
    if not field.all():  # where lungs were not looked for there is no field to show
        layers[LUNG_FIELD] = field
    return Radiograph(
        name=row["file"],
        picture=one.inner(one.image),
        windows=Windows(corners[:, 0], corners[:, 1], judge.grid.patch, scores, kind_predicted=kinds),
        score=row["score"],
        p_value=row["p_value"],
        anomalous=row["anomalous"],
        layers=layers,
        aspect=one.size[1] / one.size[0],
        remarks=[words for words in row["warnings"].split("; ") if words],
    )
