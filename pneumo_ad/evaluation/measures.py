"""All metrics of an examination, as in `metrics.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from pneumo_ad.data.radiographs import Radiographs
from pneumo_ad.data.sources.table import describing_columns
from pneumo_ad.errors import DataError
from pneumo_ad.evaluation.decisions import DECIDED, Found, false_alarms, oracles
from pneumo_ad.evaluation.examination import Examination
from pneumo_ad.evaluation.subgroups import subgroup_table, subgroups
from pneumo_ad.files import write_csv
from pneumo_ad.inference.scorer import TRIVIAL
from pneumo_ad.labels import HEALTHY_LUNG, IN_OPACITY, KINDS, NOT_KNOWN, OUTSIDE_LUNG, RADIOGRAPH, Vocabulary
from pneumo_ad.metrics.catalogue import (
    LEAST_IMAGES,
    LEVELS,
    GroundTruth,
    MeasuredScore,
    Questions,
    counts,
    headline,
    pixel_values,
    sad_medians,
    scarcity,
)
from pneumo_ad.metrics.kinds import confusion
from pneumo_ad.metrics.localisation import per_region_overlap_with_interval, pointing_game
from pneumo_ad.metrics.modality import modality
from pneumo_ad.metrics.oracle import best_dice, dice_of_all
from pneumo_ad.metrics.precision_recall import counts_at_quantiles
from pneumo_ad.metrics.ranking import Interval
from pneumo_ad.metrics.shortcut_maps import PIXEL_SHORTCUTS, shortcut_map
from pneumo_ad.metrics.shortcuts import Values, image_shortcuts, shortcut_aurocs
from pneumo_ad.metrics.strata import LEAST_STRATA, STRATA, aurocs_in_strata
from pneumo_ad.metrics.thresholds import Thresholds
from pneumo_ad.runs.calibration import JUDGED, ValidationScores

UNORDERED = "the score does not order what lies outside the {region}; windows are told as {anomaly} or not"
_PREFIX = {name: "" if name == "score" else f"{name}/" for name in JUDGED}  # of the keys of a score's metrics


@dataclass
class Findings:
    """Metrics, and the reason for each that the data do not allow.

    Attributes:
        metrics: Flat keys of `metrics.json`.
        omitted: Key -> reason, a template until `fill`.
        tables: Name of a csv -> its rows.
    """

    metrics: dict[str, float] = field(default_factory=dict)
    omitted: dict[str, str] = field(default_factory=dict)
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)

    def add(self, found: Found, prefix: str = "") -> None:
        """Add metrics and omissions.

        Args:
            found: Metrics and omissions to add.
            prefix: Prefix of each key.
        """
        metrics, omitted = found
        self.metrics |= {prefix + key: value for key, value in metrics.items()}
        self.omitted |= {prefix + key: reason for key, reason in omitted.items()}

    def explain_missing_kinds(self, reasons: Mapping[str, str]) -> None:
        """Add the reason, name of the score -> reason, to each score without thresholds between three kinds."""
        for name, reason in reasons.items():
            key = f"{_PREFIX[name]}patch/macro_f1"
            if self.omitted.get(key, "").startswith("no thresholds"):
                self.omitted[key] = f"no thresholds: {reason}"

    def fill(self, terms: Vocabulary) -> None:
        """Complete the reasons by the words of a run, as `Vocabulary.fill` does."""
        self.omitted = {key: terms.fill(reason) for key, reason in self.omitted.items()}
        if "omitted" in self.tables.get("subgroups", ()):
            self.tables["subgroups"]["omitted"] = self.tables["subgroups"]["omitted"].map(terms.fill)

    def write_tables(self, folder: Path) -> None:
        """Write each of `tables` to a csv file in a folder."""
        for name, rows in self.tables.items():
            write_csv(folder / f"{name}.csv", rows)


def measure_evaluation(
    data: Radiographs,
    result: Examination,
    calibration: ValidationScores,
    thresholds: Mapping[str, Thresholds],
    false_alarm_rate: float,
    seen_before: bool = False,
) -> Findings:
    """Compute all metrics of an examination.

    Args:
        data: Data set that holds the radiographs.
        result: Scores and ground truth of the radiographs.
        calibration: Scores of held-out validation patients.
        thresholds: Name of the score -> its thresholds, for scores whose thresholds could be fitted.
        false_alarm_rate: Declared false-alarm rate, for decisions from normals alone.
        seen_before: Whether training or calibration saw these radiographs: false alarms on them would not be valid.
    """
    findings = Findings()
    evidence = result.evidence
    questions = Questions.about(evidence)
    for name, prefix in _PREFIX.items():
        three = name in thresholds and thresholds[name].tell_outside
        kind = thresholds[name].classify(result.window[name], result.likeliest) if three else None
        measured = MeasuredScore(result.window[name], kind, result.pixel[name], result.image[name])
        findings.add(headline(evidence, measured, questions), prefix)
        if name in thresholds and not three and findings.omitted.get(f"{prefix}patch/macro_f1") == "no thresholds":
            findings.omitted[f"{prefix}patch/macro_f1"] = UNORDERED
        findings.add(localisation(evidence, result.pixel[name]), prefix)
        findings.add(oracles(result, name), prefix)
        if name == "score":
            words = describing_columns(data.store.table.iloc[result.rows])
            findings.tables["subgroups"] = subgroup_table(subgroups(words, evidence, measured)[0])
            findings.tables |= curves(evidence, questions, measured)
            if name in thresholds:
                findings.tables |= confusion_of_kinds(evidence, result, thresholds[name])
    if seen_before:
        reason = "training or calibration saw these {images}; measured on the test split or on other data"
        findings.omitted |= dict.fromkeys(DECIDED, reason)
    else:
        findings.add(false_alarms(result, calibration, false_alarm_rate))
    whole_radiograph = image_shortcuts(data.store.images, data.store.table, data.lung_fields, result.rows)
    findings.add(shortcuts(result, questions, whole_radiograph))
    findings.add(shortcuts_of_pixels(data, result, questions))
    findings.add(in_strata(result, whole_radiograph["sharpness_centre"]))
    findings.add(shape_of_histogram(result))
    if "sad" in result.window:
        findings.add(sad_medians(result.window["sad"], evidence))
    findings.metrics |= counts(evidence)
    return findings


def curves(evidence: GroundTruth, questions: Questions, measured: MeasuredScore) -> dict[str, pd.DataFrame]:
    """Count hits and alarms along the precision-recall curve of each AUROC that is measured.

    Args:
        evidence: Ground truth of the radiographs.
        questions: Questions that the ground truth can answer.
        measured: The score.

    Returns:
        `precision_recall` with a row per threshold: `key` of the AUROC, `quantile` of the scores, `tp`, `fp`, `tn`,
        `fn`; nothing where no question can be answered.
    """
    values = {
        "patch": measured.window.ravel(),
        "pixel": pixel_values(evidence, measured.pixel),
        "image": measured.image,
    }
    parts = []
    for question in questions.each:
        if questions.unanswerable(question):
            continue
        both = question.positive | question.negative
        counts = counts_at_quantiles(values[question.of][both], question.positive[both])
        quantiles = np.linspace(0, 1, counts.shape[1])
        rows = dict(zip(("tp", "fp", "tn", "fn"), counts, strict=True))
        parts.append(pd.DataFrame({"key": question.key, "quantile": quantiles.round(4), **rows}))
    return {"precision_recall": pd.concat(parts, ignore_index=True)} if parts else {}


def confusion_of_kinds(evidence: GroundTruth, result: Examination, thresholds: Thresholds) -> dict[str, pd.DataFrame]:
    """Count windows by true and predicted kind.

    Args:
        evidence: Ground truth of the radiographs.
        result: Scores of the same radiographs.
        thresholds: Thresholds of the run's score.

    Returns:
        `confusion_of_kinds` with a row per true kind, `kind_true`, and a column per predicted kind, named as
        `Thresholds.words` of radiographs; nothing where no kind is known.
    """
    predicted = thresholds.classify(result.window["score"], result.likeliest)
    counts = confusion(evidence.kind.ravel(), predicted.ravel())[:, list(thresholds.kinds)]
    table = pd.DataFrame(counts, columns=[RADIOGRAPH.fill(name) for name in thresholds.words])
    table.insert(0, "kind_true", KINDS[: len(counts)])
    return {"confusion_of_kinds": table} if counts.any() else {}


def localisation(evidence: GroundTruth, maps: Mapping[int, npt.NDArray[np.float32]]) -> Found:
    """Compute `pixel/pro`, `pixel/pointing_game` (with chance), each also `_in_lung`, and `oracle/dice` (`_of_all`).

    Args:
        evidence: Ground truth of the radiographs, from masks and labels.
        maps: Row of the ground truth -> (H, W) anomaly map.
    """
    rows = sorted(evidence.pixel_truth)
    truths = [evidence.pixel_truth[row] for row in rows]
    opaque = sum(bool((truth == IN_OPACITY).any()) for truth in truths)
    if reason := scarcity(opaque, "{images} with {anomaly} pixels"):
        names = [f"pixel/{name}{where}" for name in ("pro", "pointing_game") for where in ("", "_in_lung")]
        return {}, dict.fromkeys([*names, "oracle/dice"], reason)
    metrics: dict[str, float] = {}
    omitted: dict[str, str] = {}
    known = [np.where(truth == NOT_KNOWN, np.nan, maps[row]) for row, truth in zip(rows, truths, strict=True)]
    truths = [np.maximum(truth, OUTSIDE_LUNG) for truth in truths]
    patients = evidence.patient[rows]
    healthy = sum(bool((truth == HEALTHY_LUNG).any()) for truth in truths)
    for where, in_lung in (("", False), ("_in_lung", True)):
        if in_lung and (reason := scarcity(healthy, "{images} with {healthy} pixels")):
            omitted |= dict.fromkeys((f"pixel/pro{where}", f"pixel/pointing_game{where}"), reason)
            continue
        pro = per_region_overlap_with_interval(known, truths, patients, in_lung=in_lung)
        game = pointing_game(known, truths, patients, in_lung=in_lung)
        hits = Interval(game.value, game.low, game.high)
        metrics |= pro.keyed(f"pixel/pro{where}") | hits.keyed(f"pixel/pointing_game{where}")
        metrics[f"pixel/pointing_game{where}_chance"] = game.chance
    values = pixel_values(evidence, maps)
    opaque_pixels = pixel_values(evidence, evidence.pixel_truth) == IN_OPACITY
    best = best_dice(values, opaque_pixels)
    metrics |= {"oracle/dice": best.value, "oracle/dice_threshold": best.threshold}
    return metrics | {"oracle/dice_of_all": dice_of_all(opaque_pixels)}, omitted


def in_strata(result: Examination, sharpness: npt.NDArray[np.floating]) -> Found:
    """Compute `image/auroc_in_strata`, the median AUROC over the `counts/strata` strata by sharpness of the centre.

    Args:
        result: Scores and ground truth of the radiographs.
        sharpness: (I,) sharpness of the radiographs' centres, the strongest shortcut of the Kaggle set.
    """
    evidence, metrics = result.evidence, dict[str, float]()
    labelled = (evidence.normal | evidence.pneumonia) & evidence.has_lung
    keys = {name: f"{prefix}image/auroc_in_strata" for name, prefix in _PREFIX.items()}
    for name, key in keys.items():
        each = aurocs_in_strata(result.image[name][labelled], evidence.pneumonia[labelled], sharpness[labelled])
        if len(each) < LEAST_STRATA:
            reason = (
                f"{LEAST_IMAGES} {{images}} of each class are in {len(each)} of {STRATA} strata by sharpness of the "
                f"centre; at least {LEAST_STRATA} are needed"
            )
            return {"counts/strata": len(each)}, dict.fromkeys(keys.values(), reason)
        metrics |= {key: float(np.median(each)), "counts/strata": len(each)}
    return metrics, {}


def shortcuts(result: Examination, questions: Questions, whole_radiograph: Values) -> Found:
    """Compute `shortcut/<level>/<name>`: for AUROCs of patches and radiographs, those of scores that need no model.

    Levels: `image`; `patch` (opacity against healthy lung), `patch_outside`, `patch_origin` and `patch_origin_in_lung`
    (pneumonia against normal radiographs).

    Args:
        result: Scores and ground truth of the radiographs.
        questions: Questions that the ground truth can answer, one for each AUROC.
        whole_radiograph: Name -> (I,) shortcuts of whole radiographs, from `image_shortcuts`.
    """
    evidence = result.evidence
    metrics: dict[str, float] = {}
    omitted: dict[str, str] = {}
    for name in TRIVIAL:
        found, missing = questions.aurocs({"patch": result.window[name].ravel()}, _keys(questions, name))
        metrics |= found
        omitted |= missing
    seen = evidence.has_lung
    aurocs, left_out = shortcut_aurocs(
        whole_radiograph, evidence.pneumonia & seen, evidence.normal & seen, evidence.patient
    )
    for name, auroc in aurocs.items():
        metrics |= auroc.keyed(f"shortcut/image/{name}")
    return metrics, omitted | {f"shortcut/image/{name}": reason for name, reason in left_out.items()}


def shortcuts_of_pixels(data: Radiographs, result: Examination, questions: Questions) -> Found:
    """Compute `shortcut/<level>/<name>` of pixels, the same whatever model is measured.

    Levels: `pixel_in_lung` (opacity against healthy lung) and `pixel` (opacity against all else).

    Args:
        data: Data set that holds the radiographs.
        result: Scores and ground truth of the radiographs.
        questions: Questions that the ground truth can answer, one for each AUROC.
    """
    evidence = result.evidence
    metrics: dict[str, float] = {}
    omitted: dict[str, str] = {}
    for name in PIXEL_SHORTCUTS:
        maps: dict[int, npt.NDArray[np.float32]] = {}
        for place, truth in evidence.pixel_truth.items():
            row = int(result.rows[place])
            placement = data.store.placement(row)
            maps[place] = np.full(truth.shape, np.nan, dtype=np.float32)
            placement.inner(maps[place])[:] = shortcut_map(name, placement.inner(np.asarray(data.store.images[row])))
        found, missing = questions.aurocs({"pixel": pixel_values(evidence, maps)}, _keys(questions, name))
        metrics |= found
        omitted |= missing
    return metrics, omitted


def _keys(questions: Questions, name: str) -> dict[str, str]:
    """Key of each question -> key of a shortcut's answer."""
    return {question.key: f"shortcut/{LEVELS[question.key]}/{name}" for question in questions.each}


def shape_of_histogram(result: Examination) -> Found:
    """Compute `modality/...` of Fig. 9, the histogram of the run's score over pneumonia windows."""
    values = result.window["score"][result.evidence.origins["pneumonia"]]
    try:
        return {f"modality/{key}": value for key, value in modality(values).items()}, {}
    except DataError as reason:
        return {}, {"modality/dip": str(reason)}
