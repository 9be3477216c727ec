"""Evaluation of an opened run: scoring, calibration, metrics, tables and figures."""

from __future__ import annotations

import logging
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pneumo_ad.data.radiographs import Radiographs
from pneumo_ad.errors import DataError
from pneumo_ad.evaluation.decisions import Found
from pneumo_ad.evaluation.examination import Examination, examine
from pneumo_ad.evaluation.matched import measure_matched, too_few
from pneumo_ad.evaluation.measures import measure_evaluation
from pneumo_ad.evaluation.pictures import draw_evaluation
from pneumo_ad.evaluation.summary import kept_words, write_summary
from pneumo_ad.evaluation.tables import write_tables
from pneumo_ad.inference.predictor import Predictor
from pneumo_ad.inference.scorer import Scoring
from pneumo_ad.labels import PNEUMONIA
from pneumo_ad.metrics.metrics_json import write_metrics
from pneumo_ad.metrics.thresholds import Thresholds
from pneumo_ad.prediction.run_predictor import RunPredictor
from pneumo_ad.prediction.site_calibration import Site, calibrated, find_site, site_scores
from pneumo_ad.prediction.written import CALIBRATION
from pneumo_ad.runs.calibration import ValidationScores, fit_thresholds, tells_outside, validation_scores
from pneumo_ad.runs.check_options import check_options
from pneumo_ad.runs.checkpoints import weights_digest
from pneumo_ad.runs.evaluated_rows import chosen_rows
from pneumo_ad.runs.run import Run
from pneumo_ad.runs.sampled_maps import POINTS, SampledMaps, sample, write_maps
from pneumo_ad.runs.scorer import check_net, scoring_of

log = logging.getLogger(__name__)


def evaluate_run(run: Run, output: Path, subset: str | None = None, calibrate: Path | None = None) -> Path:
    """Evaluate an opened run.

    Args:
        run: Opened run, from `load_run`.
        output: Folder to write to; created if missing.
        subset: Split to evaluate: train, val, test or all; default: test of the run's own data, all of other data.
        calibrate: Folder of normal radiographs of the same site as the data; see `prediction.site_calibration`.

    Returns:
        `output`.
    """
    data, options = run.radiographs, run.options
    check_options(run.config)
    check_net(run)
    rows, subset, seen = chosen_rows(run, subset)
    scoring = scoring_of(run)
    calibration = _calibrate(run, scoring)
    three = tells_outside(run, scoring, calibration)
    thresholds, unfitted = fit_thresholds(calibration, run.threshold, three)
    labels = data.store.table["label"].iloc[rows]
    seen_before = subset != "test" and not run.data_changed
    site = None
    if calibrate:
        site = find_site(calibrate, output, map(Path, data.store.table["path"].iloc[rows]))
        calibration, of_score = calibrated_by(run, site, calibration, output)
        thresholds |= {"score": of_score} if of_score is not None else {}
    if not (labels == PNEUMONIA).any():
        log.warning(
            "none of the %d %s has the label pneumonia, the positive class: they get no AUROC (data.labels=)",
            *(len(rows), run.vocabulary.images),
        )
    log.info("scoring %d %s of %d windows each", len(rows), run.vocabulary.images, len(data.grid))
    if (kept := scoring.kept(data)) != data.grid:
        log.info("kept for patch figures: %s", kept_words(data.grid.stride, kept.stride))
    result = examine(scoring, data, rows)
    findings = measure_evaluation(data, result, calibration, thresholds, options.false_alarm_rate, seen_before)
    findings.explain_missing_kinds(unfitted)
    if options.matched:
        reason = too_few(labels)  # checked before a store is built
        findings.add(({}, {"image/auroc_matched": reason}) if reason else _measure_matched(run, scoring, rows))
    findings.fill(run.vocabulary)
    metrics = findings.metrics | {
        "counts/images_seen_in_training": seen,
        "counts/images_skipped": len(data.skipped),
        "counts/windows_scored": len(rows) * len(data.grid),
        "counts/pixels_uncovered_per_image": data.grid.uncovered,
    }
    output.mkdir(parents=True, exist_ok=True)
    normals = np.zeros(0) if seen_before else calibration.get("score_normal_images", np.zeros(0))
    about = {
        "omitted": findings.omitted,
        "thresholds": {name: value.plain for name, value in thresholds.items()},
        "score": type(run.module.score).__name__,
        "unit": scoring.unit,
        "aggregate": f"{type(scoring.aggregate).__name__} of {scoring.aggregate.of}",
        "strides": {"scored": data.grid.stride, "kept": result.grid.stride},
        "held_out_normals": len(normals),  # behind the p-values
        "calibrate": site and site.words,
        "subset": subset,
        "store": data.store.key,
        "checkpoint": str(
            run.checkpoint.relative_to(run.folder) if run.checkpoint.is_relative_to(run.folder) else run.checkpoint
        ),
        "weights": weights_digest(run.module.net),
        "options": asdict(options),
        "overrides": list(run.overrides),
        "skipped": data.skipped,
        "vocabulary": vars(run.vocabulary),
    }
    write_maps(output / "maps", _sampled_maps(data, result))
    dealt = not (run.data_changed and subset == "all")  # else nothing was trained or chosen by the split
    write_tables(output, data, result, thresholds.get("score"), normals, options.false_alarm_rate, dealt)
    findings.write_tables(output)
    write_summary(output, metrics | {"about": about}, f"{run.config.name}: {subset}")
    write_metrics(output, metrics, about)  # written last, so that it exists only beside complete tables
    draw_evaluation(output / "figures", run, result, thresholds.get("score"), scoring.unit, metrics)
    return output


def _calibrate(run: Run, scoring: Scoring) -> ValidationScores:
    """Return scores of held-out validation patients; empty where other data are evaluated and the run's are missing."""
    try:
        return validation_scores(run, scoring, look=not run.data_changed)
    except DataError as reason:
        if not run.data_changed:
            raise
        log.warning("no thresholds: validation of the run's own data is not available (%s)", reason)
        return {}


def calibrated_by(
    run: Run, site: Site, calibration: ValidationScores, output: Path
) -> tuple[ValidationScores, Thresholds | None]:
    """Replace the run's held-out normals by scores of a site's normals, and refit the thresholds of the run's score.

    Args:
        run: Opened run.
        site: Normal radiographs of the site.
        calibration: Scores of held-out validation patients.
        output: Folder in which scores of the site are stored.

    Raises:
        DataError: See `site_calibration.calibrated`.
    """
    judge: Predictor = RunPredictor(run, calibration)
    scores = site_scores(judge, site, output / CALIBRATION)
    judge = calibrated(judge, site, scores)
    log.info("%s", judge.notes[0])
    standard = judge.standard
    output.mkdir(parents=True, exist_ok=True)
    scores.keep(output / CALIBRATION)
    ours = {"score_normal_images": standard.normals.astype(np.float32), "score_normal_lung": scores.windows}
    return calibration | ours, standard.thresholds


def _measure_matched(run: Run, scoring: Scoring, rows: npt.NDArray[np.int64]) -> Found:
    """Measure matched radiographs: as fitted for nets of whole radiographs, with aspect ratio kept for other nets."""
    if run.options.view == "image":
        return measure_matched(scoring, run.radiographs, rows)
    padded = _padded(run, rows)
    return measure_matched(scoring, padded, np.arange(len(padded.store)))


def _padded(run: Run, rows: npt.NDArray[np.int64]) -> Radiographs:
    """Open only the radiographs of some rows, with their aspect ratio kept, in a separate store."""
    data = run.radiographs
    chosen = data.table["image"].isin(data.store.table["image"].iloc[rows])
    return run.some_radiographs(data.table[chosen].reset_index(drop=True), fit="pad")


def _sampled_maps(data: Radiographs, result: Examination) -> SampledMaps:
    """Maps and truth of radiographs with known opacities, sampled in the frame of the radiograph without padding."""
    places = sorted(result.evidence.pixel_truth)
    sampled = {name: np.empty((len(places), POINTS, POINTS), dtype=np.float32) for name in ("score", "brightness")}
    truth = np.empty((len(places), POINTS, POINTS), dtype=np.uint8)
    for i, place in enumerate(places):
        row = result.rows[place]
        placement = data.store.placement(row)
        for name, maps in sampled.items():
            maps[i] = sample(result.pixel[name][place], placement)
        # Not from the evidence, which leaves out pixels that this run's windows do not cover.
        truth[i] = sample(data.truth.pixels(row), placement)
    images = data.store.table.iloc[result.rows[places]][["image", "patient"]].reset_index(drop=True)
    return SampledMaps(images, sampled["score"], sampled["brightness"], truth)
