"""Labels of radiographs, splits, kinds of patch and codes of pixels, and the words by which people read them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from pneumo_ad.errors import ConfigError, did_you_mean

NORMAL, PNEUMONIA, OTHER = "normal", "pneumonia", "other"


LABELS = (NORMAL, PNEUMONIA, OTHER)


SPLITS = ("train", "val", "test")


UNDEALT = "undealt"  # in place of a split: radiographs added after a run had fixed its splits; in none of them


HEALTHY, OPACITY, OUTSIDE, MIXED, PADDING, UNKNOWN = range(6)


KINDS = ("healthy", "opacity", "outside", "mixed", "padding", "unknown")
KIND_WORDS = ("{healthy}", "{anomaly}", "outside", "mixed", "padding", "unknown")  # templates of `Vocabulary.fill`
LABEL_WORDS = {NORMAL: "normal", PNEUMONIA: "{abnormal}", OTHER: "other"}  # likewise, before "{images}"


NOT_KNOWN = -1  # counted by no metric: padding, or covered by no window
OUTSIDE_LUNG = 0  # or lung not known
HEALTHY_LUNG = 1  # codes of lung, healthy or not, are above OUTSIDE_LUNG
IN_OPACITY = 2


_SENTENCES = ("warning", "limits")  # all others are words within a sentence
_WORD, _SENTENCE = re.compile(r"\w[\w' -]*"), re.compile(r"[^<>\[\]{}&\"\\\x00-\x1f\x7f]*")


@dataclass(frozen=True)
class Vocabulary:
    """Words of a field for what its images show: `conf/vocabulary`. Keys, columns and labels do not change with them.

    *Normal* is the word of anomaly detection itself, and the same in all fields.

    Attributes:
        image: An image.
        images: Several of them.
        patient: Source of images that are never in two splits.
        patients: Several of them.
        abnormal: Images of the label `pneumonia`, said before `images`, as in "pneumonia radiographs".
        region: Part of an image that is looked at, said after "the".
        field: Mask of the region.
        healthy: Region without an anomaly.
        anomaly: Anomaly that is looked for.
        anomalies: Several of them.
        warning: Sentence on the use of a model; may be empty.
        limits: Sentences for a model card on what such images and anomalies are; may be empty.

    >>> Vocabulary().fill("{anomaly} in the {region}")
    'opacity in the lung'
    """

    image: str = "radiograph"
    images: str = "radiographs"
    patient: str = "patient"
    patients: str = "patients"
    abnormal: str = "pneumonia"
    region: str = "lung"
    field: str = "lung field"
    healthy: str = "healthy lung"
    anomaly: str = "opacity"
    anomalies: str = "opacities"
    warning: str = "Not a medical device: do not use it to decide about patients."
    limits: str = (
        "Frontal views only: scores of laterals, other projections and other parts of the body are meaningless. "
        "Devices, markers, scars and bad exposure are anomalies as pneumonia is. Consolidated lung may be missed by "
        "the lung segmenter."
    )

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Vocabulary:
        """Build the vocabulary of a config's node or of an entry of a JSON file.

        Args:
            plain: Word by name, all of them.

        Raises:
            ConfigError: A word is missing, unknown, or not plain text in a line; names its key.
        """
        names = [one.name for one in fields(cls)]
        for name in plain:
            if name not in names:
                raise ConfigError(
                    f"vocabulary.{name} is no word that is used; expected {', '.join(names)}{did_you_mean(name, names)}"
                )
        for name in names:
            if name not in plain:
                raise ConfigError(f"vocabulary.{name} is missing; vocabulary={{generic,radiograph}} have all words")
            word, form = plain[name], _SENTENCE if name in _SENTENCES else _WORD
            if not isinstance(word, str) or not form.fullmatch(word):
                raise ConfigError(
                    f"vocabulary.{name}={str(word)[:80]!r}: expected plain text in one line, letters and digits"
                    f"{' with punctuation' if name in _SENTENCES else ''}"
                )
        return cls(**plain)

    @classmethod
    def kept_in(cls, content: Mapping[str, Any]) -> Vocabulary:
        """Build the vocabulary at the key `vocabulary` of a JSON file; files of earlier versions have none.

        Raises:
            ConfigError: See `of`.
        """
        return cls.of(content["vocabulary"]) if "vocabulary" in content else cls()

    def fill(self, template: str) -> str:
        """Return a text in which each `{name}` of a word is that word; other braces stay.

        >>> Vocabulary(images="photographs").fill("5 {images} in {folder}")
        '5 photographs in {folder}'
        """
        return re.sub(rf"{{({'|'.join(vars(self))})}}", lambda found: vars(self)[found[1]], template)


RADIOGRAPH = Vocabulary()
