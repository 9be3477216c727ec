"""Descriptions and clusters of difference images (the paper's § 5.3)."""

from pneumo_ad.clustering.clustering import METHODS, Clustering, fit_clusters
from pneumo_ad.clustering.description import DESCRIPTIONS, Description, difference_images, train_description
from pneumo_ad.clustering.embedding import Embedding, train_embedding
from pneumo_ad.clustering.features import FEATURES, compressed, plain_features

__all__ = [
    "DESCRIPTIONS",
    "FEATURES",
    "METHODS",
    "Clustering",
    "Description",
    "Embedding",
    "compressed",
    "difference_images",
    "fit_clusters",
    "plain_features",
    "train_description",
    "train_embedding",
]
