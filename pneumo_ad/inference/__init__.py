"""Inference on radiographs: window scores and anomaly maps, one file per scoring mode."""

from pneumo_ad.inference.anomaly_maps import MapOf
from pneumo_ad.inference.dense import check_dense, score_densely
from pneumo_ad.inference.forward import forward
from pneumo_ad.inference.radiographs import Loaded, Mode, Scorable, Scored, finite_radiographs
from pneumo_ad.inference.whole import score_whole_radiographs
from pneumo_ad.inference.windows import score_radiographs

__all__ = [
    "Loaded",
    "MapOf",
    "Mode",
    "Scorable",
    "Scored",
    "check_dense",
    "finite_radiographs",
    "forward",
    "score_densely",
    "score_radiographs",
    "score_whole_radiographs",
]
