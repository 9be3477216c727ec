"""Three clusters of described windows, numbered by rising SAD."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
from sklearn.cluster import KMeans
from sklearn.mixture import GaussianMixture
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import RobustScaler

from pneumo_ad.clustering.agreement import CLUSTERS
from pneumo_ad.errors import DataError

Method = Literal["kmeans", "mixture"]
METHODS: tuple[Method, ...] = get_args(Method)

# Robust to tails, yet wide: both quartiles may lie in one of three clusters and then give only its spread.
_RANGE = (5.0, 95.0)
LEAST_WINDOWS = 100  # a mixture in 8 dimensions has 134 free numbers


class Clustering:
    """Clusters of windows; made by `fit_clusters`.

    Args:
        model: Pipeline that standardises and clusters.
        number: (3,) cluster number by label of the model.
    """

    def __init__(self, model: Pipeline, number: npt.NDArray[np.integer]) -> None:
        self._model, self._number = model, number

    def __call__(self, features: npt.NDArray[np.floating]) -> npt.NDArray[np.int8]:
        """Predict clusters: (n, d) features -> (n,) int8, 0, 1 or 2."""
        return self._number[self._model.predict(np.asarray(features, dtype=np.float64))].astype(np.int8)

    def standardised(self, features: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Standardise (n, d) features as for clustering: minus the median, over the 5th to 95th percentile range."""
        return self._model[0].transform(np.asarray(features, dtype=np.float64))


def fit_clusters(
    features: npt.NDArray[np.floating], sad: npt.NDArray[np.floating], method: Method, seed: int = 0
) -> Clustering:
    """Cluster windows into three, without labels.

    Features are standardised by median and range (5th to 95th percentile) and clustered by k-means (Lloyd 1982) or by
    a mixture of Gaussians of free covariance (Dempster et al. 1977), the best of several starts. Clusters are numbered
    by rising mean SAD: read as kinds, that is the paper's rule (healthy lung < opacity < outside) on clusters.

    Args:
        features: (n, d) features of the windows to fit on.
        sad: (n,) SAD of the same windows.
        method: Method, `kmeans` or `mixture`.
        seed: Seed of the starts.

    Raises:
        DataError: Fewer than 100 windows, or fewer than three different ones.

    >>> values = np.repeat([5.0, 0.0, 10.0], 40)[:, None] + np.linspace(0, 1, 120)[:, None]
    >>> fit_clusters(values, values[:, 0], "kmeans")(np.array([[10.0], [0.0], [5.0]])).tolist()
    [2, 0, 1]
    """
    features = np.asarray(features, dtype=np.float64)
    if len(features) < LEAST_WINDOWS:
        raise DataError(f"clusters need at least {LEAST_WINDOWS} windows to be fitted on; there are {len(features)}")
    different = len(np.unique(features, axis=0))
    if different < CLUSTERS:
        raise DataError(f"{CLUSTERS} clusters need as many different windows; {len(features)} windows hold {different}")
    if method == "kmeans":
        estimator = KMeans(CLUSTERS, n_init=10, random_state=seed)
    else:
        # Without the floor a cluster of equal windows would have zero variance.
        estimator = GaussianMixture(CLUSTERS, n_init=3, reg_covar=1e-4, random_state=seed)
    model = make_pipeline(RobustScaler(quantile_range=_RANGE), estimator).fit(features)
    labels = model.predict(features)
    means = [sad[labels == cluster].mean() if (labels == cluster).any() else np.inf for cluster in range(CLUSTERS)]
    return Clustering(model, np.argsort(np.argsort(means, kind="stable")))
