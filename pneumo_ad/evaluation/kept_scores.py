"""Reuse of the window scores of an earlier, identical `pneumo-ad evaluate`."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from pneumo_ad.evaluation.windows import every_window
from pneumo_ad.inference.scorer import Scoring
from pneumo_ad.metrics.metrics_json import read_metrics
from pneumo_ad.runs.checkpoints import weights_digest
from pneumo_ad.runs.run import Run
from pneumo_ad.saved import GIB, is_there, read_table

log = logging.getLogger(__name__)


def earlier_scores(folder: Path, run: Run, scoring: Scoring, rows: npt.NDArray[np.int64]) -> pd.DataFrame | None:
    """Read `patches.csv` of an evaluation of the same windows of the same radiographs by the same weights.

    Args:
        folder: Folder of the evaluation, if there is one.
        run: Opened run.
        scoring: Scoring of the run.
        rows: (I,) row numbers in the store.

    Returns:
        A row per kept window, radiograph by radiograph as in `rows`; None where there is no such evaluation.

    Raises:
        DamagedError: A file of the evaluation cannot be read.
    """
    metrics, table = folder / "metrics.json", folder / "patches.csv"
    if not (is_there(metrics) and is_there(table)):
        return None
    about, data = read_metrics(folder)["about"], run.radiographs
    same = {
        "store": data.store.key,
        "unit": scoring.unit,
        "overrides": list(run.overrides),
        "weights": weights_digest(run.module.net),
    }
    options = run.options.changing("scores", "decisions", "tables")
    recorded = about.get("options", options)  # earlier versions recorded no options: compared by overrides
    if any(about.get(key) != value for key, value in same.items()) or any(
        recorded.get(name) != value for name, value in options.items()
    ):
        return None
    thresholds = about.get("thresholds", {}).get("score")
    if isinstance(thresholds, list) and len(thresholds) == 2 and not run.module.score.orders_outside:
        return None  # of an earlier version with three kinds for every score
    numbers = dict.fromkeys(("top", "left", "score"), float)
    windows = read_table(table, {"image": str, **numbers}, 16 * GIB, dtype={"image": str})
    expected = every_window(data, rows, scoring.kept(data))
    if len(windows) != len(expected) or not (
        np.isfinite(pd.to_numeric(windows["score"], errors="coerce")).all()
        and all((windows[name].to_numpy() == values.to_numpy()).all() for name, values in expected.items())
    ):
        return None
    log.info("scores: those of %s", table)
    return windows
