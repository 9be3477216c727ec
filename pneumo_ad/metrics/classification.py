"""Accuracy, sensitivity and specificity of decisions, with intervals by patient."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pneumo_ad.errors import DataError
from pneumo_ad.metrics.ranking import Interval, Patients, Scores, auroc, draw_patients, interval_of, resampled_aurocs

THRESHOLD = 0.5  # probability from which a radiograph is called pneumonia; fixed beforehand, not on the data


def decision_metrics(
    probability: Scores, truth: npt.NDArray[np.bool_], patients: Patients, resamples: int = 1000
) -> dict[str, Interval]:
    """Compute accuracy, sensitivity, specificity and AUROC of a classifier, beside the accuracy of always pneumonia.

    Args:
        probability: (n,) probability of pneumonia, in [0, 1].
        truth: (n,) bool, both values present.
        patients: (n,) patient of each radiograph; the unit of the bootstrap.
        resamples: Number of bootstrap resamples.

    Returns:
        `accuracy`, `sensitivity` (of pneumonia), `specificity`, `balanced_accuracy` (the mean of the two), `auroc` and
        `always_pneumonia/accuracy`, all in [0, 1], higher is better, each with its 95 % percentile bootstrap interval
        over the same resamples; a resample without both classes is left out of the metrics that need both.

    Raises:
        DataError: Only one class; the message names it.
    """
    if truth.all() or not truth.any():
        only = "pneumonia" if truth.any() else "normal"
        raise DataError(f"all {len(truth)} images are {only}: AUROC and balanced accuracy need both classes")
    owner, weights = draw_patients(patients, resamples)
    correct = (probability >= THRESHOLD) == truth

    def mean(values: npt.NDArray[np.bool_], chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        """Return the (1 + R,) means of the sample and of each resample."""
        return np.array([values[chosen].mean(), *resampled_means(values[chosen], owner[chosen], weights)])

    everything = np.ones_like(truth)
    sensitivity, specificity = mean(correct, truth), mean(correct, ~truth)
    samples = {
        "accuracy": mean(correct, everything),
        "sensitivity": sensitivity,
        "specificity": specificity,
        "balanced_accuracy": (sensitivity + specificity) / 2,
        "auroc": np.array([auroc(probability, truth), *resampled_aurocs(probability, truth, owner, weights)]),
        "always_pneumonia/accuracy": mean(truth, everything),
    }
    return {name: Interval(float(values[0]), *interval_of(values[1:])) for name, values in samples.items()}


def resampled_means(
    values: Scores | npt.NDArray[np.bool_], owner: npt.NDArray[np.integer], weights: npt.NDArray[np.float32]
) -> npt.NDArray[np.float64]:
    """Compute the mean in every resample of the patients.

    Args:
        values: (n,) values to average.
        owner: (n,) number of each value's patient, the column of `weights`.
        weights: (R, P) draws of each patient, from `resamples_of`.

    Returns:
        (R,) means; NaN for a resample that draws none of the values.

    >>> resampled_means(np.array([0.0, 1.0, 1.0]), np.array([0, 1, 1]), np.array([[1, 1], [2, 0]], dtype=np.float32))
    array([0.66666667, 0.        ])
    """
    patients = weights.shape[1]
    drawn = weights.astype(np.float64)
    total = drawn @ np.bincount(owner, values, minlength=patients)
    count = drawn @ np.bincount(owner, minlength=patients)
    return total / np.where(count > 0, count, np.nan)
