"""Conformal decisions from normals alone, beside oracle thresholds: declared against realised false-alarm rate."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pneumo_ad.errors import DataError
from pneumo_ad.evaluation.examination import Examination
from pneumo_ad.metrics.catalogue import missing_kind, scarcity
from pneumo_ad.metrics.conformal import Scores, conformal_threshold
from pneumo_ad.metrics.oracle import best_balanced_accuracy, best_dice, best_macro_f1, dice_of_all
from pneumo_ad.metrics.proportion import false_alarm_rate, share_with_interval
from pneumo_ad.runs.calibration import ValidationScores

# Metrics that need held-out normals, and radiographs unseen by training and calibration.
DECIDED = ("false_alarms/patch", "false_alarms/image", "image/sensitivity", "image/balanced_accuracy")

Found = tuple[dict[str, float], dict[str, str]]


def false_alarms(result: Examination, calibration: ValidationScores, rate: float) -> Found:
    """Fit conformal thresholds of the run's score on held-out normals, and measure the realised rates.

    Args:
        result: Scores and ground truth of the radiographs, unseen by the calibration.
        calibration: Scores of held-out validation patients.
        rate: Declared false-alarm rate.

    Returns:
        `false_alarms/declared`, `false_alarms/{patch,image}` (realised, with interval) and their `_threshold`,
        `image/sensitivity` (with interval) and `image/balanced_accuracy` at that threshold; and omitted key -> reason.
    """
    evidence = result.evidence
    metrics: dict[str, float] = {"false_alarms/declared": rate}
    omitted: dict[str, str] = {}
    whole = result.image["score"]
    seen = ~np.isnan(whole)
    # For each level: name of the held-out scores, scores, and which of them are of unseen normals.
    levels: dict[str, tuple[str, Scores, npt.NDArray[np.bool_]]] = {
        "patch": ("score_normal_lung", result.window["score"], evidence.origins["normal_lung"]),
        "image": ("score_normal_images", whole, evidence.normal & seen),
    }
    for level, (held_out, scores, normal) in levels.items():
        key, image = f"false_alarms/{level}", np.nonzero(normal)[0]
        if held_out not in calibration:
            omitted[key] = "validation of the run's own data is not at hand"
            continue
        try:
            threshold = conformal_threshold(calibration[held_out], rate)
        except DataError as error:
            omitted[key] = str(error)
            continue
        metrics[f"{key}_threshold"] = threshold
        if reason := scarcity(len(np.unique(image)), "normal {images} to count false alarms on"):
            omitted[key] = reason
            continue
        metrics |= false_alarm_rate(scores[normal], threshold, evidence.patient[image]).keyed(key)
    sick = evidence.pneumonia & seen
    few = scarcity(int(sick.sum()), "{abnormal} {images}")
    if "false_alarms/image" in metrics and not few:
        called = whole[sick] > metrics["false_alarms/image_threshold"]
        sensitivity = share_with_interval(called.astype(np.float64), evidence.patient[sick])
        metrics |= sensitivity.keyed("image/sensitivity")
        metrics["image/balanced_accuracy"] = (sensitivity.value + 1 - metrics["false_alarms/image"]) / 2
    else:
        reason = omitted.get("false_alarms/image", few)
        omitted |= dict.fromkeys(("image/sensitivity", "image/balanced_accuracy"), reason)
    return metrics, omitted


def oracles(result: Examination, name: str = "score") -> Found:
    """Compute oracle metrics at the best thresholds, chosen on the truth itself: upper bounds, not results.

    Args:
        result: Scores and ground truth of the radiographs.
        name: Name of the score.

    Returns:
        `oracle/image_balanced_accuracy`, `oracle/image_threshold`, `oracle/image_f1` (with that of calling all
        pneumonia, `_of_all`), `oracle/macro_f1` and its thresholds; and omitted key -> reason.
    """
    evidence = result.evidence
    metrics: dict[str, float] = {}
    omitted: dict[str, str] = {}
    whole = result.image[name]
    usable = (evidence.normal | evidence.pneumonia) & ~np.isnan(whole)
    fewest = min(int((usable & side).sum()) for side in (evidence.normal, evidence.pneumonia))
    if few := scarcity(fewest, "{images} of one class"):
        omitted |= dict.fromkeys(("oracle/image_balanced_accuracy", "oracle/image_f1"), few)
    else:
        sick = evidence.pneumonia[usable]
        best, f1 = best_balanced_accuracy(whole[usable], sick), best_dice(whole[usable], sick)
        metrics |= {"oracle/image_balanced_accuracy": best.value, "oracle/image_threshold": best.threshold}
        metrics |= {
            "oracle/image_f1": f1.value,
            "oracle/image_f1_threshold": f1.threshold,
            "oracle/image_f1_of_all": dice_of_all(sick),
        }
    if reason := missing_kind(evidence):
        omitted["oracle/macro_f1"] = reason
    else:
        macro = best_macro_f1(result.window[name], evidence.kind)
        metrics |= {
            "oracle/macro_f1": macro.value,
            "oracle/macro_f1_threshold_low": macro.low,
            "oracle/macro_f1_threshold_high": macro.high,
        }
    return metrics, omitted
