"""AUROC of radiographs matched in sharpness and in the distribution of grey levels within the lung."""

from __future__ import annotations

import hashlib
from functools import cache

import numpy as np
import numpy.typing as npt
import pandas as pd

from pneumo_ad.data.radiographs import Radiographs
from pneumo_ad.data.store.cached_array import cached_array
from pneumo_ad.evaluation.decisions import Found
from pneumo_ad.evaluation.matching import Matched, match, matchable
from pneumo_ad.inference.lung_shares import lung_shares
from pneumo_ad.inference.scorer import Scoring, placed
from pneumo_ad.labels import LABEL_WORDS, NORMAL, PNEUMONIA
from pneumo_ad.metrics.catalogue import MOSTLY_LUNG, scarcity
from pneumo_ad.metrics.ranking import auroc_with_interval
from pneumo_ad.metrics.shortcuts import lung_shortcuts, pixel_shortcuts, shortcut_aurocs
from pneumo_ad.runs.scorer import check_finite

_VERSION = 1  # raise it when matching changes: arrays cached beside stores are then recomputed


def too_few(labels: pd.Series) -> str:
    """Return the reason why these labels are too few for metrics of matched radiographs; empty where they suffice.

    The reason is a template of `labels.Vocabulary.fill`.

    >>> too_few(pd.Series(["normal"] * 9))
    '0 {abnormal} {images} that could be matched; at least 5 are needed'
    """
    for label in (PNEUMONIA, NORMAL):
        if reason := scarcity(int((labels == label).sum()), f"{LABEL_WORDS[label]} {{images}} that could be matched"):
            return reason
    return ""


def measure_matched(scoring: Scoring, data: Radiographs, rows: npt.NDArray[np.int64]) -> Found:
    """Compute the AUROC of radiographs without differences in exposure, sharpness and, with `fit=pad`, aspect ratio.

    For a net of patches the area outside the lung is filled in; a net of whole radiographs sees the chest.

    Args:
        scoring: Scoring of the run.
        data: Data set that holds the radiographs; missing lung fields are segmented.
        rows: (I,) row numbers in the store.

    Returns:
        `image/auroc_matched` with its interval, `shortcut/image_matched/<name>` of shortcuts that remain in the matched
        images, `counts/images_matched` and `counts/images_unmatched` (left out: less sharp than the reference from
        the start), as far as they could be computed; and omitted key -> reason.
    """
    table = data.store.table
    rows = rows[table["label"].iloc[rows].isin([NORMAL, PNEUMONIA]).to_numpy()]
    rows = rows[matchable(data.lung_fields[rows])]
    if reason := too_few(table["label"].iloc[rows]):
        return {}, {"image/auroc_matched": reason}
    images, reached = _matched(data, rows)
    rows, images = rows[reached], images[reached]
    metrics: dict[str, float] = {"counts/images_matched": len(rows), "counts/images_unmatched": int((~reached).sum())}
    if reason := too_few(table["label"].iloc[rows]):
        return metrics, {"image/auroc_matched": reason}
    scores = _scores(scoring, data, rows, images)
    known = ~np.isnan(scores)
    rows, images, scores = rows[known], images[known], scores[known]
    metrics["counts/images_matched"] = len(rows)
    if reason := too_few(table["label"].iloc[rows]):
        return metrics, {"image/auroc_matched": reason}
    table = table.iloc[rows]
    sick, patient = (table["label"] == PNEUMONIA).to_numpy(), table["patient"].to_numpy(dtype=str)
    metrics |= auroc_with_interval(scores, sick, patient).keyed("image/auroc_matched")
    given_away = pixel_shortcuts(images, table) | lung_shortcuts(images, data.lung_fields[rows], table)
    aurocs, left_out = shortcut_aurocs(given_away, sick, ~sick, patient)
    for name, auroc in aurocs.items():
        metrics |= auroc.keyed(f"shortcut/image_matched/{name}")
    return metrics, {f"shortcut/image_matched/{name}": reason for name, reason in left_out.items()}


def _scores(
    scoring: Scoring, data: Radiographs, rows: npt.NDArray[np.int64], images: npt.NDArray[np.uint8]
) -> npt.NDArray[np.float64]:
    """(len(rows),) scores of the matched radiographs, (len(rows), H, W), after the run's intensity transform."""
    fields = data.lung_fields[rows]

    def counted(here: slice) -> npt.NDArray[np.bool_]:
        """Windows that count in the radiograph's scale: where the outside is filled in, those mostly lung."""
        if data.view == "patch":
            return lung_shares(data, rows[here]) > MOSTLY_LUNG
        return data.grid.window_shares(data.content(rows[here])) == 1

    seen = data.intensity.of_images(images, fields, data.store.content(rows))
    scores: list[npt.NDArray[np.float64]] = []
    parts = scoring(data, np.arange(len(rows)), "matched", scoring.aggregate.of == "pixels", seen, counted)
    for here, scored in placed(parts):
        check_finite(scored, rows[here], data)
        scores.append(scoring.of_radiographs(scored, "score", lung_shares(data, rows[here]), fields[here]))
    return np.concatenate(scores)


def _matched(data: Radiographs, rows: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """(len(rows), H, W) matched radiographs and (len(rows),) whether matching succeeded; kept beside the store."""
    digest = hashlib.sha256(repr((_VERSION, rows.tolist())).encode())
    digest.update(np.ascontiguousarray(data.lung_fields[rows]).data)
    name = f"matched-{'' if data.view == 'patch' else 'chest-'}{digest.hexdigest()[:12]}"

    @cache
    def made() -> Matched:
        return match(data.store.images, data.lung_fields, rows, fill=data.view == "patch")

    images = cached_array(data.store, name, lambda: made().images, (len(rows), *data.store.image_size))
    reached = cached_array(
        data.store, f"{name}-reached", lambda: made().reached.astype(np.uint8)[:, None, None], (len(rows), 1, 1)
    )
    return images, reached[:, 0, 0] == 1
