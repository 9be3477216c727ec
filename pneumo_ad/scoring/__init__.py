"""Radiographs through a net: window scores and anomaly maps, a file for each way there."""

from pneumo_ad.scoring.dense import check_dense, score_densely
from pneumo_ad.scoring.forward import forward
from pneumo_ad.scoring.loaded import Loaded
from pneumo_ad.scoring.maps import MapOf
from pneumo_ad.scoring.scored import Mode, Radiographs, Scored, finite_radiographs
from pneumo_ad.scoring.whole import score_whole_radiographs
from pneumo_ad.scoring.windows import score_radiographs

__all__ = [
    "Loaded",
    "MapOf",
    "Mode",
    "Radiographs",
    "Scored",
    "check_dense",
    "finite_radiographs",
    "forward",
    "score_densely",
    "score_radiographs",
    "score_whole_radiographs",
]
