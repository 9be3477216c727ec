"""Difference images (the paper's § 5.3): how they are described, and clusters of them."""

from pneumo_ad.residuals.clustering import METHODS, Clustering, fit_clusters
from pneumo_ad.residuals.embedding import Embedding, train_embedding
from pneumo_ad.residuals.features import FEATURES, compressed, plain_features

__all__ = [
    "FEATURES",
    "METHODS",
    "Clustering",
    "Embedding",
    "compressed",
    "fit_clusters",
    "plain_features",
    "train_embedding",
]
