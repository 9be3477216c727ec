"""Scores, one per file: input and `Output` -> residual map and a number per patch, higher is more anomalous."""

import re

from pneumo_ad.scores.brightness import Brightness
from pneumo_ad.scores.contrast import Contrast
from pneumo_ad.scores.excess import Excess
from pneumo_ad.scores.judgement import Judgement, JudgementInLung
from pneumo_ad.scores.kinds import ExpectedKind, OpacityChance
from pneumo_ad.scores.sad import SAD, SADContrast, SADSum
from pneumo_ad.scores.score import Score
from pneumo_ad.scores.sharpness import Sharpness
from pneumo_ad.scores.uncertainty import UncertaintyScore

__all__ = [
    "SAD",
    "Brightness",
    "Contrast",
    "Excess",
    "ExpectedKind",
    "Judgement",
    "JudgementInLung",
    "OpacityChance",
    "SADContrast",
    "SADSum",
    "Score",
    "Sharpness",
    "UncertaintyScore",
    "score_named",
    "score_words",
]


def score_named(name: str) -> type[Score]:
    """Return the score class of a saved name, or `Score` for a name that is not in this package.

    >>> score_named("SAD").__name__, score_named("Mine").__name__
    ('SAD', 'Score')
    """
    candidate = globals().get(name)
    return candidate if isinstance(candidate, type) and issubclass(candidate, Score) else Score


def score_words(name: str) -> str:
    """Return the name of a score class in words; the chance that a net gives is a score for the reader, no probability.

    >>> score_words("OpacityChance"), score_words("SADContrast"), score_words("SAD")
    ('opacity score', 'SAD contrast', 'SAD')
    """
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[^A-Z]+", name.replace("Chance", "Score"))
    return " ".join(word if word.isupper() else word.lower() for word in words)
