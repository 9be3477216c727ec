"""AUROC within strata of a nuisance: performance among radiographs that a shortcut hardly separates."""

from __future__ import annotations

import numpy as np

from pneumo_ad.metrics.catalogue import LEAST_IMAGES
from pneumo_ad.metrics.ranking import Scores, Truth, auroc

STRATA = 5
LEAST_STRATA = 3  # that hold both classes: a median of fewer says little


def aurocs_in_strata(scores: Scores, truth: Truth, nuisance: Scores) -> list[float]:
    """Compute AUROC in each of `STRATA` equal strata (Cochran 1968, Biometrics) with enough samples of both classes.

    Args:
        scores: (n,) higher is more anomalous; NaN is left out.
        truth: (n,) bool, which are positive.
        nuisance: (n,) values that define the strata, for example the sharpness of the image's centre.

    Returns:
        AUROCs in [0, 1], lowest stratum first; strata with fewer than `LEAST_IMAGES` of either class are left out.

    >>> n = np.arange(100)
    >>> aurocs_in_strata(n // 20, n % 4 == 0, n // 20)  # a score that is the nuisance itself
    [0.5, 0.5, 0.5, 0.5, 0.5]
    """
    if not len(nuisance):
        return []
    stratum = np.digitize(nuisance, np.quantile(nuisance, np.linspace(0, 1, STRATA + 1)[1:-1]))
    chosen = [(stratum == number) & ~np.isnan(scores) for number in range(STRATA)]
    held = [one for one in chosen if min(truth[one].sum(), (~truth[one]).sum()) >= LEAST_IMAGES]
    return [auroc(scores[one], truth[one]) for one in held]
