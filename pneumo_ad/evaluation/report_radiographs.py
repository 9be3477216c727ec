"""Radiographs of a report: selection, reconstructions, anomaly maps, lung fields and ground truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pneumo_ad.data.evenly_spaced import evenly_spaced
from pneumo_ad.data.progress import progress_bar
from pneumo_ad.data.radiographs import Radiographs
from pneumo_ad.inference.reconstruct import reconstructed
from pneumo_ad.inference.scorer import Scoring
from pneumo_ad.labels import KINDS, PADDING, RADIOGRAPH, UNKNOWN, Vocabulary
from pneumo_ad.lungs import WholeImage
from pneumo_ad.report import ANOMALY_MAP, LUNG_FIELD, TRUTH, Radiograph, Windows, layers_of


def spread_by_score(images: pd.DataFrame, with_truth: npt.NDArray[np.bool_], most: int) -> npt.NDArray[np.int64]:
    """Choose radiographs to show: equally many of each label, evenly spaced by rank of score, with truth first.

    Args:
        images: I rows with `label` and `score` (NaN if there is none).
        with_truth: (I,) bool, whether a mask or boxes locate the radiograph's opacities.
        most: Largest number of radiographs.

    Returns:
        (n,) int64 positions of rows in `images`, ascending.

    >>> table = pd.DataFrame({"label": ["normal"] * 5, "score": [5.0, 1, 4, 2, 3]})
    >>> spread_by_score(table, np.array([False] * 5), 3).tolist()
    [0, 1, 4]
    """
    chosen: list[int] = []
    labels = images["label"].value_counts().sort_values().index  # rarest first: its unused share goes to the next
    for number, label in enumerate(labels):
        room = (most - len(chosen)) // (len(labels) - number)
        of_label = np.flatnonzero(images["label"] == label)
        of_label = of_label[np.argsort(images["score"].to_numpy(dtype=float)[of_label], kind="stable")]
        known, others = of_label[with_truth[of_label]], of_label[~with_truth[of_label]]
        picked = known[evenly_spaced(len(known), room)]
        chosen += [*picked, *others[evenly_spaced(len(others), room - len(picked))]]
    return np.array(sorted(chosen), dtype=np.int64)


def shown_radiographs(
    scoring: Scoring,
    data: Radiographs,
    rows: npt.NDArray[np.int64],
    windows: Sequence[pd.DataFrame],
    images: pd.DataFrame,
    marked_above: float | None = None,
    terms: Vocabulary = RADIOGRAPH,
) -> list[Radiograph]:
    """Build the radiographs of a report, with their layers and remarks.

    Args:
        scoring: Scoring of the run, for anomaly maps and, if the net reconstructs patches, reconstructions.
        data: Data set that holds the radiographs.
        rows: (I,) int64 row numbers in the store.
        windows: Rows of `patches.csv`, one table per radiograph.
        images: Rows of `images.csv`, one per radiograph, every cell as text.
        marked_above: See `layers_of`.
        terms: Words of the run, for the remarks.
    """
    shown = []
    known = data.truth.known
    maps = (one.copy() for part in scoring(data, rows, "maps", maps=True) for one in part.maps["score"])
    of_each = zip(rows.tolist(), maps, windows, images.iterrows(), strict=True)
    for row, anomaly, table, (_, facts) in progress_bar(of_each, total=len(rows), desc="report", unit="image"):
        picture = np.asarray(data.images[row])
        made = reconstructed(scoring, data.grid, picture) if data.view == "patch" else None
        lung_field = None if isinstance(data.lungs, WholeImage) else np.asarray(data.lung_fields[row]) == 1
        opacity = np.asarray(data.store.opacity[row]) == 1
        truth = opacity if known[row] and opacity.any() else None
        layers = layers_of(anomaly, lung_field, scoring.score.orders_outside, made, truth, marked_above)
        remarks = []
        if lung_field is not None and not lung_field.any():
            remarks.append(f"no {terms.region} was found")
        elif lung_field is not None and not facts["score"]:
            remarks.append(f"no score: no window lies in the {terms.field}")
        if means := contrast(layers | {ANOMALY_MAP: anomaly}):
            inside, rest = means
            within = f"{inside:.3g} in the {terms.anomaly}, {rest:.3g} in the rest of the {terms.region}"
            remarks.append(f"mean of the anomaly map: {within}")
        shown.append(
            Radiograph(
                name=facts["image"],
                picture=picture,
                windows=_windows(table, data.grid.patch),
                label=facts["label"],
                score=_number(facts["score"]),
                p_value=_number(facts.get("p_value", "")),
                anomalous={"True": True, "False": False}.get(facts.get("anomalous", "")),
                layers=layers,
                aspect=float(facts["width"]) / float(facts["height"]) if data.fit == "squash" else None,
                remarks=remarks,
            )
        )
    return shown


def contrast(layers: Mapping[str, npt.NDArray[Any]]) -> tuple[float, float] | None:
    """Compare the anomaly map of a radiograph in opacities and in the rest of the lung, from its (H, W) layers.

    Returns:
        Means of the anomaly map in the opacities and in the rest of the lung field; None if either is unknown.

    >>> masks = {TRUTH: np.array([[True, False, False]]), LUNG_FIELD: np.array([[True, True, False]])}
    >>> contrast({ANOMALY_MAP: np.array([[3.0, 2.0, 9.0]])} | masks)
    (3.0, 2.0)
    """
    if not {ANOMALY_MAP, TRUTH, LUNG_FIELD} <= set(layers):
        return None
    anomaly, truth = layers[ANOMALY_MAP], layers[TRUTH]
    covered = ~np.isnan(anomaly)
    inside, rest = anomaly[truth & covered], anomaly[layers[LUNG_FIELD] & ~truth & covered]
    return (float(inside.mean()), float(rest.mean())) if inside.size and rest.size else None


def _windows(table: pd.DataFrame, patch: int) -> Windows:
    """Convert rows of `patches.csv`, without windows of padding."""
    kinds = {name: kind for kind, name in enumerate(KINDS)} | {"": UNKNOWN}
    table = table[table["kind_true"] != KINDS[PADDING]]
    predicted = table["kind_predicted"]
    return Windows(
        table["top"].to_numpy(),
        table["left"].to_numpy(),
        patch,
        table["score"].to_numpy(dtype=np.float32),
        table["kind_true"].map(kinds).to_numpy(),
        predicted.map(kinds).to_numpy() if (predicted != "").all() and len(predicted) else None,
    )


def _number(text: str) -> float | None:
    return float(text) if text else None
