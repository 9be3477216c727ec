"""Facts of a radiograph in its DICOM header: patient's sex and age, modality, view, body part."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset

from pneumo_ad.data.readers.dicom import parse
from pneumo_ad.data.readers.dicom_words import code_of

_YEARS = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0, "": 1.0}
_FRONTAL = frozenset({"AP", "PA", ""})
_CHEST = frozenset({"CHEST", "THORAX", "LUNG", "LUNGS", "PORT CHEST", "CHEST PORTABLE", "RIBS", ""})
_ELEMENTS = {
    "sex": "PatientSex", "modality": "Modality", "view": "ViewPosition", "body_part": "BodyPartExamined",
    "intent": "PresentationIntentType",
}  # fmt: skip


@dataclass(frozen=True)
class DicomFacts:
    """Facts of one radiograph; "" or None if the header lacks them. The patient's name and number are never read.

    Attributes:
        sex: M, F or O.
        age: Age in years.
        modality: CR, DX, ...
        view: ViewPosition: AP, PA, LL, LATERAL, ...
        body_part: BodyPartExamined.
        intent: FOR PRESENTATION or FOR PROCESSING.
    """

    sex: str = ""
    age: float | None = None
    modality: str = ""
    view: str = ""
    body_part: str = ""
    intent: str = ""

    @property
    def doubts(self) -> list[str]:
        """Reasons why a model of frontal chest radiographs may not apply to this one.

        >>> DicomFacts(modality="CR", view="LL").doubts
        ['view LL is not frontal (AP or PA)']
        >>> DicomFacts(modality="DX", view="PA", body_part="CHEST").doubts
        []
        """
        reasons = {
            f"view {code_of(self.view)} is not frontal (AP or PA)": self.view not in _FRONTAL,
            f"body part {code_of(self.body_part)} is not the chest": self.body_part not in _CHEST,
            "no modality is given": not self.modality,
            "raw detector values (FOR PROCESSING), not made to be shown": self.intent == "FOR PROCESSING",
        }
        return [reason for reason, holds in reasons.items() if holds]


def dicom_facts(path: str | Path) -> DicomFacts:
    """Read the facts of a file from its header; pixels are not touched.

    Raises:
        DataError: It cannot be parsed; names the file.
    """
    header = parse(path, specific_tags=["SOPClassUID", "PatientAge", *_ELEMENTS.values()])
    words = {fact: _word(header, name) for fact, name in _ELEMENTS.items()}
    return DicomFacts(age=years(_word(header, "PatientAge")), **words)


def years(age: str) -> float | None:
    """Convert an age in DICOM's form (three digits and D, W, M or Y) to years; digits alone, in some files, are years.

    >>> years("018M"), years("58"), years("unknown")
    (1.5, 58.0, None)
    """
    parts = re.fullmatch(r"(\d{1,3})([DWMY]?)", age)
    return int(parts[1]) * _YEARS[parts[2]] if parts else None


def _word(header: Dataset, name: str) -> str:
    try:
        return str(header.get(name) or "").strip().upper()
    except Exception:  # an unreadable value counts as missing; the pixels may still be intact
        return ""
