"""Drawings: families of anomalies and distractors, drawn into normal radiographs in torch; nothing here reads data."""

from pneumo_ad.drawings.distractors import Devices, Exposure, Haze, Shade
from pneumo_ad.drawings.drawing import Drawing, Drawn
from pneumo_ad.drawings.lines import Lines
from pneumo_ad.drawings.mixture import Mixture
from pneumo_ad.drawings.pastes import Pastes
from pneumo_ad.drawings.spots import Spots
from pneumo_ad.drawings.veils import Veils

__all__ = ["Devices", "Drawing", "Drawn", "Exposure", "Haze", "Lines", "Mixture", "Pastes", "Shade", "Spots", "Veils"]
