"""HTML report of an evaluated run, from stored scores; a run without them is evaluated first."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pneumo_ad.errors import DataError
from pneumo_ad.evaluation.evaluate import evaluate_run
from pneumo_ad.evaluation.kept_scores import earlier_scores
from pneumo_ad.evaluation.report_radiographs import contrast, shown_radiographs, spread_by_score
from pneumo_ad.evaluation.summary import hint_of_matching, left_out
from pneumo_ad.inference.predictor import HELD_OUT, normals_of
from pneumo_ad.inference.scorer import Scoring
from pneumo_ad.labels import RADIOGRAPH, Vocabulary
from pneumo_ad.metrics.catalogue import HEADLINE
from pneumo_ad.metrics.metrics_json import read_metrics
from pneumo_ad.metrics.shortcuts import strength, strongest_shortcut
from pneumo_ad.metrics.thresholds import thresholds_of
from pneumo_ad.report import Headline, Page, Radiograph, marked_words
from pneumo_ad.runs.calibration import validation_scores
from pneumo_ad.runs.evaluated_rows import chosen_rows
from pneumo_ad.runs.jobs import lock
from pneumo_ad.runs.record import read_run_json
from pneumo_ad.runs.run import Run
from pneumo_ad.runs.scorer import scoring_of
from pneumo_ad.saved import is_there, read_table
from pneumo_ad.scores import score_words

log = logging.getLogger(__name__)


_DICTS = ("omitted", "thresholds", "skipped")  # of `about` in `metrics.json`
_PATIENCE = 600  # seconds to wait for another process with the same evaluation


# Rows below `HEADLINE`, templates likewise.
DECISIONS = {
    "false_alarms/image": "false alarms on unseen normal {images}, declared {declared:.3g}",
    "image/sensitivity": "sensitivity at that threshold",
}


def page_of(run: Run, evaluated: Path, subset: str | None, most: int) -> Page:
    """Build the report page of a run.

    Args:
        run: Opened run.
        evaluated: Folder of the run's evaluation; the run is evaluated where it holds none, or one of other weights
            or data.
        subset: Split, or None for the default of `pneumo-ad evaluate`.
        most: Largest number of radiographs to show.
    """
    data, scoring = run.radiographs, scoring_of(run)
    rows, subset, _ = chosen_rows(run, subset)
    windows = earlier_scores(evaluated, run, scoring, rows)
    if windows is None:
        if is_there(evaluated / "metrics.json"):
            log.warning(
                "the evaluation in %s is of other weights or data, or of an older version: made anew", evaluated
            )
        else:
            log.info("no evaluation of this in %s: it is made first", evaluated)
        with lock(evaluated, wait=_PATIENCE):
            if earlier_scores(evaluated, run, scoring, rows) is None:  # no other process made it in the meantime
                evaluate_run(run, evaluated, subset)
            windows = earlier_scores(evaluated, run, scoring, rows)
        assert windows is not None, "what was just written"
    metrics = read_metrics(evaluated, "score", "unit", "checkpoint", "weights", "store", "overrides", *_DICTS)
    images = read_table(evaluated / "images.csv", {"image": str, "label": str, "score": float}, dtype=str)
    if images["image"].tolist() != data.store.table["image"].iloc[rows].astype(str).tolist():
        raise DataError(f"{evaluated}: images.csv and patches.csv are not of one evaluation; delete them and try again")
    scores = images.assign(score=pd.to_numeric(images["score"]))
    known = data.store.table["has_opacity"].iloc[rows].to_numpy(dtype=bool)
    places = spread_by_score(scores, known, most)
    kept = scoring.kept(data)
    per_image = [windows.iloc[place * len(kept) : (place + 1) * len(kept)] for place in places]
    marked_above = _marked_above(run, scoring)
    terms, shown = run.vocabulary, images.iloc[places]
    radiographs = shown_radiographs(scoring, data, rows[places], per_image, shown, marked_above, terms)
    about = metrics["about"]
    return Page(
        title=f"How well anomalies are found in {len(rows):,} {terms.images}",
        subtitle=(
            f"{len(places):,} of them are shown ({run.data_name}, subset={subset}), scored by "
            f"{score_words(about['score'])} of {type(run.module.net).__name__}: images of "
            f"{data.grid.image_size[0]} × {data.grid.image_size[1]}, patches of {data.grid.patch} every {kept.stride} "
            f"pixels; run {run.folder.name}"
        ),
        score_name=score_words(about["score"]),
        unit=about["unit"],
        radiographs=radiographs,
        thresholds=thresholds_of(about["thresholds"]["score"]) if "score" in about["thresholds"] else None,
        normals=about.get("held_out_normals"),
        whose=normals_of(about["calibrate"]) if about.get("calibrate") else HELD_OUT,
        headline=headline_rows(metrics, terms),
        marked=marked_words(marked_above, about["unit"], terms),
        notes=notes(metrics, radiographs, len(rows), terms),
        config=_config(run, about),
        vocabulary=terms,
    )


def _marked_above(run: Run, scoring: Scoring) -> float | None:
    """Return the score where 99 % of held-out normal lung ends; None where the run's own data are not at hand."""
    try:
        normal = validation_scores(run, scoring).get("score_normal_lung", np.zeros(0))
    except DataError as reason:
        log.warning("nothing is marked on the images: %s", reason)
        return None
    return float(np.quantile(normal, 0.99)) if len(normal) else None


def headline_rows(found: dict[str, Any], terms: Vocabulary = RADIOGRAPH) -> list[Headline]:
    """Build rows of the table of metrics from a `metrics.json`; metrics that it lacks are left out.

    Args:
        found: Content of `metrics.json`.
        terms: Words of the run.
    """
    declared = found.get("false_alarms/declared", np.nan)
    words = {key: terms.fill(text) for key, text in (HEADLINE | DECISIONS).items()}
    words |= {key: words[key].format(declared=declared) for key in DECISIONS}
    rows = []
    for key, metric in words.items():
        if key in found:
            best = strongest_shortcut(found, key)
            shortcut = (strength(best.auroc), terms.fill(best.words)) if best else ()
            rows.append(Headline(metric, found[key], found.get(f"{key}_low"), found.get(f"{key}_high"), *shortcut))
    return rows


def notes(
    found: dict[str, Any], radiographs: Sequence[Radiograph], evaluated: int, terms: Vocabulary = RADIOGRAPH
) -> list[str]:
    """Write notes for the reader: choice of radiographs, whether bright means opacity, and omissions with reasons.

    Args:
        found: Content of `metrics.json`.
        radiographs: Radiographs that the report shows.
        evaluated: Number of radiographs that were evaluated.
        terms: Words of the run.
    """
    lines = []
    if len(radiographs) < evaluated:
        lines.append(
            f"{len(radiographs)} of {evaluated:,} {terms.images} are shown, as many of each label as there is room "
            f"for, evenly spaced by rank of score from the lowest to the highest, those with known {terms.anomalies} "
            "first. The histogram counts the windows of these; the table of metrics is of all."
        )
    means = [pair for one in radiographs if (pair := contrast(one.layers))]
    if means:
        lines.append(
            f"Does bright mean {terms.anomaly}? In {sum(inside > rest for inside, rest in means)} of the {len(means)} "
            f"shown {terms.images} with known {terms.anomalies} the anomaly map is on average brighter within them "
            f"than in the rest of the {terms.region}."
        )
    lines.append("Higher scores are more anomalous. Scores and maps are those of the picture as the net saw it.")
    for key, words in {
        "images_seen_in_training": f"{terms.images} of {terms.patients} that the run saw in training are left out",
        "images_skipped": "files could not be used",
        "images_without_lung": f"{terms.images} have no {terms.field}, and so no score of their own",
        "patches_padding": "windows hold padding and are no part of any figure",
    }.items():
        if found.get(f"counts/{key}"):
            lines.append(f"{found[f'counts/{key}']:,} {words}.")
    lines += [f"Skipped: {reason}" for reason in list(found["about"]["skipped"].values())[:20]]
    lines += [f"{hint[0].upper()}{hint[1:]}."] if (hint := terms.fill(hint_of_matching(found))) else []
    return lines + [f"Left out, {words}." for words in left_out(found["about"]["omitted"])]


def _config(run: Run, about: dict[str, Any]) -> str:
    """Return the config as text, below the origin of the numbers."""
    story = read_run_json(run.folder)
    facts = {
        "run": run.folder,
        "commit": story.get("commit", ""),
        "pneumo_ad": story.get("pneumo_ad", ""),
        "checkpoint": about["checkpoint"],
        "weights": about["weights"],
        "store": about["store"],
        "evaluated with": " ".join(about["overrides"]),
    }
    lines = [f"# {name}: {value}" for name, value in facts.items() if value]
    return "\n".join([*lines, run.as_yaml()])
