"""Scores, one idea per file: (input, `Output`) -> residual map and one number per patch, higher is more anomalous."""

from pneumo_ad.scores.brightness import Brightness
from pneumo_ad.scores.contrast import Contrast
from pneumo_ad.scores.judgement import Judgement
from pneumo_ad.scores.kinds import ExpectedKind, OpacityChance, OpacityInLung
from pneumo_ad.scores.sad import SAD, SADContrast, SADSum
from pneumo_ad.scores.score import Score
from pneumo_ad.scores.sharpness import Sharpness
from pneumo_ad.scores.uncertainty import UncertaintyScore

__all__ = [
    "SAD",
    "Brightness",
    "Contrast",
    "ExpectedKind",
    "Judgement",
    "OpacityChance",
    "OpacityInLung",
    "SADContrast",
    "SADSum",
    "Score",
    "Sharpness",
    "UncertaintyScore",
]
