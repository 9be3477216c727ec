"""Callbacks of the training: pictures, histograms and curves for the loggers, end on SIGTERM or divergence."""

from pneumo_ad.callbacks.divergence import StopAtDivergence
from pneumo_ad.callbacks.histograms import SADHistograms
from pneumo_ad.callbacks.history import History
from pneumo_ad.callbacks.maps import AnomalyMaps
from pneumo_ad.callbacks.panels import ReconstructionPanels
from pneumo_ad.callbacks.precision_recall import PrecisionRecall
from pneumo_ad.callbacks.progress import EpochProgress
from pneumo_ad.callbacks.termination import SaveOnTermination

__all__ = [
    "AnomalyMaps",
    "EpochProgress",
    "History",
    "PrecisionRecall",
    "ReconstructionPanels",
    "SADHistograms",
    "SaveOnTermination",
    "StopAtDivergence",
]
