"""Tables `patches.csv` and `images.csv`: scores and kinds of every window and every radiograph."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from pneumo_ad.data.radiographs import Radiographs
from pneumo_ad.errors import printable
from pneumo_ad.evaluation.examination import Examination
from pneumo_ad.evaluation.windows import every_window, kind_names
from pneumo_ad.files import write_csv
from pneumo_ad.labels import HEALTHY, KINDS, OPACITY, OUTSIDE
from pneumo_ad.metrics.conformal import decisions, p_values
from pneumo_ad.metrics.thresholds import Thresholds

_OF_FILE = ("image", "path", "patient", "label", "split", "height", "width", "window_low", "window_high")


def write_tables(
    output: Path,
    data: Radiographs,
    result: Examination,
    thresholds: Thresholds | None,
    normals: npt.NDArray[np.floating],
    false_alarm_rate: float,
    dealt: bool = True,
) -> None:
    """Write `patches.csv` and `images.csv` into `output`.

    Args:
        output: Folder to write to.
        data: Data set that holds the radiographs.
        result: Scores and ground truth of the radiographs.
        thresholds: Thresholds of the run's score, or None where none could be fitted.
        normals: (n,) scores of held-out normal radiographs.
        false_alarm_rate: Declared false-alarm rate.
        dealt: Whether the split of a radiograph says anything about the run; else its column is empty.
    """
    kinds = thresholds.classify(result.window["score"], result.likeliest) if thresholds is not None else None
    whole_radiographs = images(data, result, kinds, () if thresholds is None else thresholds.kinds)
    if not dealt:
        whole_radiographs["split"] = ""
    if len(normals):
        p = whole_radiographs["p_value"] = p_values(result.image["score"], normals)
        whole_radiographs["normals"] = len(normals)
        decided = decisions(p, len(normals), false_alarm_rate)
        whole_radiographs["anomalous"] = ["" if one is None else str(one) for one in decided]
    write_csv(output / "patches.csv", patches(data, result, kinds))
    write_csv(output / "images.csv", whole_radiographs)


def patches(data: Radiographs, result: Examination, kinds: np.ndarray | None) -> pd.DataFrame:
    """Build the rows of `patches.csv`, one per kept window.

    Args:
        data: Radiographs, with their lung fields and windows.
        result: Scores and ground truth of the radiographs.
        kinds: (I, N) predicted kinds; None without thresholds.
    """
    scores = {name: values.ravel() for name, values in result.window.items()}
    table = every_window(data, result.rows, result.grid).assign(**scores)
    table["lung_share"] = result.evidence.lung_share.ravel().round(4)
    table["kind_predicted"] = "" if kinds is None else kind_names(kinds.ravel())
    table["kind_true"] = kind_names(result.evidence.kind.ravel())
    return table


def images(data: Radiographs, result: Examination, kinds: np.ndarray | None, told: Collection[int]) -> pd.DataFrame:
    """Build the rows of `images.csv`, one per radiograph.

    Args:
        data: Radiographs, with their lung fields and windows.
        result: Scores and ground truth of the radiographs.
        kinds: (I, N) predicted kinds; None without thresholds.
        told: Kinds that thresholds can predict; counts of windows of other kinds stay empty.
    """
    table = data.store.table.iloc[result.rows][list(_OF_FILE)].reset_index(drop=True).assign(**result.image)
    table["path"] = table["path"].map(printable)
    table["windows_mostly_lung"] = result.evidence.in_lung.sum(axis=1)
    table["lung_area"] = [float(data.store.placement(row).inner(data.lung_fields[row]).mean()) for row in result.rows]
    for kind in (HEALTHY, OPACITY, OUTSIDE):
        table[f"windows_{KINDS[kind]}"] = (kinds == kind).sum(axis=1) if kinds is not None and kind in told else ""
    return table
