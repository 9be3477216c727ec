"""Calibration of a run: scores of held-out validation radiographs of its own data, and thresholds from them."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from omegaconf import OmegaConf

from pneumo_ad.data.radiographs import Radiographs
from pneumo_ad.data.store.store import store_key
from pneumo_ad.errors import DamagedError, DataError
from pneumo_ad.files import write_arrays
from pneumo_ad.inference.lung_shares import lung_shares
from pneumo_ad.inference.scorer import Scoring, placed
from pneumo_ad.labels import NORMAL, PNEUMONIA
from pneumo_ad.metrics.thresholds import LIKELIEST, Fixed, LikeliestKind, Threshold, Thresholds, fit_kinds
from pneumo_ad.runs.check_options import windows_of
from pneumo_ad.runs.compose import change_saved
from pneumo_ad.runs.evaluation_options import EvaluationOptions
from pneumo_ad.runs.past import as_first_known
from pneumo_ad.runs.record import read_run_json
from pneumo_ad.runs.run import FIXED, Run
from pneumo_ad.runs.run_config import saved_config
from pneumo_ad.runs.scorer import check_finite
from pneumo_ad.runs.search_path import saved_search_path
from pneumo_ad.runs.shipped import is_shipped
from pneumo_ad.saved import check_array, file_digest, is_there, read_arrays

log = logging.getLogger(__name__)

JUDGED = ("score", "brightness")  # the run's score, and the baseline that is evaluated beside it
_VERSION = 2  # raise it when the scored windows or radiographs change: kept scores are then recomputed
_FILES = "files"  # key of the digest of the validation files among the kept arrays
_IMAGES = 200  # largest number of validation radiographs of each class

ValidationScores = dict[str, npt.NDArray[np.float32]]


def fit_thresholds(
    scores: ValidationScores, rule: Threshold, three: bool
) -> tuple[dict[str, Thresholds], dict[str, str]]:
    """Fit the thresholds of each score of `JUDGED`.

    Args:
        scores: Result of `validation_scores`.
        rule: Threshold rule, from two sets of scores to two thresholds; `LikeliestKind` needs no scores.
        three: Whether there are three kinds (`tells_outside`); the baseline gets the same number of thresholds.

    Returns:
        Thresholds by score, and by score the reason why they cannot be fitted.
    """
    if isinstance(rule, LikeliestKind):  # the net decides: there may be no scores at all
        reason = "threshold=kinds takes what the run's own net finds likeliest"
        return {"score": LIKELIEST}, {name: reason for name in JUDGED if name != "score"}
    fitted, missing = {}, {}
    for name in JUDGED:
        if isinstance(rule, Fixed) and name != "score":
            missing[name] = "threshold=fixed is on the scale of the run's own score"
        elif f"{name}_normal_lung" not in scores:
            missing[name] = "validation of the run's own data is not at hand"
        else:
            try:
                fitted[name] = fit_kinds(rule, scores[f"{name}_normal_lung"], scores[f"{name}_pneumonia"], three)
            except DataError as reason:
                missing[name] = str(reason)
    return fitted, missing


def tells_outside(run: Run, scoring: Scoring, scores: ValidationScores) -> bool:
    """Whether windows outside the lung are a kind of their own: the score orders them, and there are any.

    Args:
        run: The opened run.
        scoring: Scoring of the run's windows.
        scores: Result of `validation_scores`: where each window of each normal radiograph lies wholly inside, as with a
            mask of everything, there is no outside.
    """
    if not run.module.score.orders_outside or str(run.config.lungs.get("_target_")).endswith(".WholeImage"):
        return False
    windows = len(windows_of(run.options).thinned(scoring.kept_windows))
    every = len(scores.get("score_normal_images", ())) * windows
    return not every or len(scores["score_normal_lung"]) < every


def validation_scores(run: Run, scoring: Scoring, look: bool = False) -> ValidationScores:
    """Score validation windows and radiographs of the run's own data, even if the overrides replaced the data.

    The scores are kept in the run folder under a digest of all that they depend on, so that other data can be judged
    with the run folder alone.

    Args:
        run: The opened run.
        scoring: Scoring of the run's windows.
        look: Whether to compare the kept scores with the run's own data, and to recompute them if the files changed.

    Returns:
        For each of `JUDGED`, float32 arrays: `<score>_normal_lung`, scores of windows wholly inside normal lungs;
        `<score>_pneumonia`, scores of all windows of pneumonia radiographs, both of the kept windows (`Scoring.kept`);
        `<score>_normal_images`, one score per normal radiograph with a lung field.

    Raises:
        DataError: The scores are not kept, or damaged, and the run's own data are not available.
    """
    config = change_saved(saved_config(run.folder), run.own_overrides, FIXED, saved_search_path(run.folder))
    data_node = cast(dict[str, Any], OmegaConf.to_container(config.datamodule, resolve=True))
    data_node["shards"] = read_run_json(run.folder).get("shards", 1)  # an argument of 0.1.0, part of its digests
    depends = _digested(EvaluationOptions.of(config), data_node)
    depends += [str((_VERSION, _IMAGES, JUDGED)), file_digest(run.checkpoint)[:12]]
    depends.append(file_digest(run.lung_weights)[:12])
    split = run.folder / "split.csv"
    depends.append(file_digest(split)[:12] if split.is_file() else "")
    every = windows_of(run.options)
    if (thinned := every.thinned(scoring.kept_windows)) != every:
        depends.append(str(thinned))
    kept = run.folder / "validation_scores" / f"{hashlib.sha256(repr(depends).encode()).hexdigest()[:12]}.npz"
    before: ValidationScores = {}
    files, damaged = "", None
    try:
        before, files = _read(kept)
    except DamagedError as reason:
        damaged = reason
        log.warning("%s: scores of validation are recomputed", reason)
    if not all(np.isfinite(values).all() for values in before.values()):
        before = {}  # of a version that kept non-finite scores: recomputed, and refused with the radiograph's name
    if before and not look:
        return before
    try:
        data = run.own_radiographs()
    except DataError as reason:
        if damaged:
            raise DataError(f"{damaged}, and cannot be made anew: {reason}") from reason
        raise
    of_today = _files_of(data)
    if before and files == of_today:
        return before
    groups = {
        "normal_lung": data.exhaustive_patches("val", NORMAL, _IMAGES).rows,
        "pneumonia": data.exhaustive_patches("val", PNEUMONIA, _IMAGES).rows,
    }
    log.info("scoring %d validation images", sum(map(len, groups.values())))
    numbers = data.grid.numbers_of(scoring.kept(data))
    scores: ValidationScores = {}
    for group, rows in groups.items():
        normal = group == "normal_lung"
        windows: dict[str, list[npt.NDArray[np.float32]]] = {name: [] for name in JUDGED}
        images: dict[str, list[npt.NDArray[np.float64]]] = {name: [] for name in JUDGED}
        batches = scoring(data, rows, "validation", maps=normal and scoring.aggregate.of == "pixels")
        for _, batch in placed(batches):
            check_finite(batch, batch.rows, data)
            shares = lung_shares(data, batch.rows)
            inside = (shares if normal else data.grid.window_shares(data.store.content(batch.rows)))[:, numbers] == 1
            for name in JUDGED:
                windows[name].append(batch.scores[name][:, numbers][inside])
                if normal:
                    fields = data.lung_fields[batch.rows]
                    images[name].append(scoring.of_radiographs(batch, name, shares, fields))
        for name in JUDGED:
            scores[f"{name}_{group}"] = np.concatenate(windows[name]) if len(rows) else np.zeros(0, dtype=np.float32)
            if normal:
                whole = np.concatenate(images[name]) if len(rows) else np.zeros(0)
                scores[f"{name}_normal_images"] = whole[~np.isnan(whole)].astype(np.float32)
    if not is_shipped(run.folder):
        _keep(kept, scores, of_today)
    return scores


def _digested(options: EvaluationOptions, data: dict[str, Any]) -> list[str]:
    """Options that scores depend on, as texts for a digest; a change here would invalidate all kept scores.

    `data` is the node of the data module, which holds some of the options beside other arguments.
    """
    values = options.changing("scores")
    nodes = json.dumps(as_first_known([values.pop("score"), data, values.pop("aggregate")]), sort_keys=True)
    values["precision"] = f"torch.{options.precision}"
    return [nodes, *(str(value) for name, value in values.items() if name not in data), str(options.halo)]


def _files_of(data: Radiographs) -> str:
    """Digest of the validation files: scores are recomputed if a file has another content under the same name."""
    return store_key(data.table[data.table["split"] == "val"], data.grid.image_size, data.fit)


def _read(file: Path) -> tuple[ValidationScores, str]:
    """Read the scores that `_keep` wrote and the digest of their files; both empty if there is no such file.

    Raises:
        DamagedError: The file does not hold the expected arrays.
    """
    if not is_there(file):
        return {}, ""
    kept = read_arrays(file)
    files = str(kept.pop(_FILES, ""))
    try:
        names = {f"{name}_{group}" for name in JUDGED for group in ("normal_lung", "pneumonia", "normal_images")}
        if names != set(kept):
            raise ValueError(f"it holds {', '.join(sorted(kept)) or 'nothing'}, expected {', '.join(sorted(names))}")
        for scores in kept.values():
            check_array(scores, np.float32, (None,))
    except ValueError as reason:
        raise DamagedError(f"{file}: {reason}") from reason
    return kept, files


def _keep(file: Path, found: ValidationScores, files: str) -> None:
    """Keep scores for the next time; in a folder that is not writable, only warn."""
    try:
        file.parent.mkdir(exist_ok=True)
        if file.is_dir():  # a file cannot replace a folder
            shutil.rmtree(file)
        write_arrays(file, found | {_FILES: np.array(files)})
    except OSError as reason:
        log.warning("scores of validation are not kept for the next time: %s", reason)
