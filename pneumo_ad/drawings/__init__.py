"""Synthetic anomalies and distractors, drawn into normal radiographs in torch; independent of data sources."""

from pneumo_ad.drawings.blends import Blends
from pneumo_ad.drawings.consolidations import Consolidations
from pneumo_ad.drawings.deformations import Deformations
from pneumo_ad.drawings.distractors import Devices, Exposure, Haze, Shade
from pneumo_ad.drawings.drawing import Drawing, Drawn
from pneumo_ad.drawings.effusions import Effusions
from pneumo_ad.drawings.lines import Lines
from pneumo_ad.drawings.mixture import Mixture
from pneumo_ad.drawings.pastes import Pastes
from pneumo_ad.drawings.spots import Spots
from pneumo_ad.drawings.swells import Swells
from pneumo_ad.drawings.veils import Veils

__all__ = [
    "Blends",
    "Consolidations",
    "Deformations",
    "Devices",
    "Drawing",
    "Drawn",
    "Effusions",
    "Exposure",
    "Haze",
    "Lines",
    "Mixture",
    "Pastes",
    "Shade",
    "Spots",
    "Swells",
    "Veils",
]
