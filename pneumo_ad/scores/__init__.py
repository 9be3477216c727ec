"""Scores, one idea per file: (input, `Output`) -> residual map and one number per patch, higher is more anomalous."""

from pneumo_ad.scores.brightness import Brightness
from pneumo_ad.scores.contrast import Contrast
from pneumo_ad.scores.judgement import Judgement
from pneumo_ad.scores.kinds import ExpectedKind, OpacityChance
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
    "SADContrast",
    "SADSum",
    "Score",
    "Sharpness",
    "UncertaintyScore",
    "score_named",
]


def score_named(name: str) -> type[Score]:
    """The score of this package that a saved name means; for any other, `Score`: nothing is known of it.

    >>> score_named("SAD").__name__, score_named("Mine").__name__
    ('SAD', 'Score')
    """
    found = globals().get(name)
    return found if isinstance(found, type) and issubclass(found, Score) else Score
