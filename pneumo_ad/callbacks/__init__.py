"""What is written to TensorBoard while a run trains."""

from pneumo_ad.callbacks.histograms import SADHistograms
from pneumo_ad.callbacks.maps import AnomalyMaps
from pneumo_ad.callbacks.panels import ReconstructionPanels

__all__ = ["AnomalyMaps", "ReconstructionPanels", "SADHistograms"]
