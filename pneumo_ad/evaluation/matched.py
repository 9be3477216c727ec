"""The same radiographs once more, brought to one aspect, sharpness and distribution of grey levels in the lung."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from pneumo_ad.data.datamodule import PatchDataModule
from pneumo_ad.data.store import cached_array
from pneumo_ad.data.table import NORMAL, PNEUMONIA
from pneumo_ad.evaluation.examination import Scoring
from pneumo_ad.matching import match, matchable
from pneumo_ad.metrics.headline import LEAST_IMAGES
from pneumo_ad.metrics.ranking import auroc_with_interval
from pneumo_ad.shortcuts import lung_shortcuts, pixel_shortcuts, shortcut_aurocs

_VERSION = 1  # raise it when matching changes: what lies beside stores is then made anew


def measure_matched(scoring: Scoring, padded: PatchDataModule) -> tuple[dict[str, float], dict[str, str]]:
    """AUROC of radiographs from which exposure, sharpness and squashing can no longer be read.

    Args:
        scoring: Of the run.
        padded: The radiographs to score, all of its store, fitted with `pad`.

    Returns:
        `image/auroc_matched` with its interval, `shortcut/image_matched/<name>` of what the matched pictures still give
        away, `counts/images_matched`; and what is left out.
    """
    table = padded.store.table
    chosen = table["label"].isin([NORMAL, PNEUMONIA]).to_numpy() & matchable(padded.lung_fields)
    rows = np.flatnonzero(chosen)
    sick = (table["label"].iloc[rows] == PNEUMONIA).to_numpy()
    patient = np.unique(table["patient"].iloc[rows].to_numpy(dtype=str), return_inverse=True)[1]
    for label, n in ((PNEUMONIA, int(sick.sum())), (NORMAL, int((~sick).sum()))):
        if n < LEAST_IMAGES:
            return {}, {"image/auroc_matched": f"{n} {label} radiographs; at least {LEAST_IMAGES} are needed"}
    images = _matched(padded, rows)
    seen = _seen(padded, images, rows)
    found = []
    place = 0
    for part in scoring(padded, np.arange(len(rows)), "matched", scoring.aggregate.of == "pixels", seen):
        fields = padded.lung_fields[rows[place : place + len(part.rows)]]
        found.append(scoring.of_radiographs(part, "score", padded.grid.window_shares(fields), fields))
        place += len(part.rows)
    scores = np.concatenate(found)
    known = ~np.isnan(scores)
    interval = auroc_with_interval(scores[known], sick[known], patient[known])
    metrics = {
        "image/auroc_matched": interval.value,
        "image/auroc_matched_low": interval.low,
        "image/auroc_matched_high": interval.high,
        "counts/images_matched": int(known.sum()),
    }
    given_away = pixel_shortcuts(images, table.iloc[rows]) | lung_shortcuts(
        images, padded.lung_fields[rows], table.iloc[rows]
    )
    aurocs, left_out = shortcut_aurocs(given_away, sick, ~sick, patient)
    for name, auroc in aurocs.items():
        key = f"shortcut/image_matched/{name}"
        metrics |= {key: auroc.value, f"{key}_low": auroc.low, f"{key}_high": auroc.high}
    return metrics, {f"shortcut/image_matched/{name}": reason for name, reason in left_out.items()}


def _matched(padded: PatchDataModule, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """(len(rows), H, W); kept beside the store."""
    digest = hashlib.sha256(repr((_VERSION, rows.tolist())).encode())
    digest.update(np.ascontiguousarray(padded.lung_fields[rows]).data)
    name = f"matched-{digest.hexdigest()[:12]}"
    return cached_array(padded.store, name, lambda: match(padded.store.images, padded.lung_fields, rows).images)


def _seen(padded: PatchDataModule, images: npt.NDArray[np.uint8], rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """As the run's net sees them."""
    fields = padded.lung_fields
    return np.stack([padded.intensity.one(image, fields[row]) for image, row in zip(images, rows, strict=True)])
