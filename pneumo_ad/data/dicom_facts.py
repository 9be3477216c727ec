"""What a DICOM header tells of a radiograph besides its pixels: who, which view, how."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset

from pneumo_ad.data.dicom import parse

_YEARS = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0, "": 1.0}
_FRONTAL = frozenset({"AP", "PA"})
_CHEST = frozenset({"CHEST", "THORAX", "LUNG", "LUNGS", "PORT CHEST", "CHEST PORTABLE", "RIBS", ""})
_TAGS = [
    "SOPClassUID", "Modality", "PatientID", "PatientSex", "PatientAge", "ViewPosition", "BodyPartExamined",
    "Laterality", "ImageLaterality", "PhotometricInterpretation", "PixelSpacing", "ImagerPixelSpacing",
    "PresentationIntentType",
]  # fmt: skip


@dataclass(frozen=True)
class DicomFacts:
    """Facts of one radiograph; "" or None where the header does not tell. The patient's name is never read.

    Attributes:
        patient: PatientID.
        sex: M, F or O.
        age: In years.
        modality: CR, DX, ...
        view: ViewPosition: AP, PA, LL, LATERAL, ...
        body_part: BodyPartExamined.
        laterality: L, R, B or U.
        photometric: MONOCHROME1 or MONOCHROME2.
        pixel_spacing: Millimetres from row to row and from column to column; of the detector, where not calibrated.
        intent: FOR PRESENTATION or FOR PROCESSING.
    """

    patient: str = ""
    sex: str = ""
    age: float | None = None
    modality: str = ""
    view: str = ""
    body_part: str = ""
    laterality: str = ""
    photometric: str = ""
    pixel_spacing: tuple[float, float] | None = None
    intent: str = ""

    @property
    def doubts(self) -> list[str]:
        """Why a model of frontal chest radiographs may not be meant for this one, in words.

        >>> DicomFacts(modality="CR", view="LL").doubts
        ['view LL is not frontal (AP or PA)']
        >>> DicomFacts(modality="DX", view="PA", body_part="CHEST").doubts
        []
        """
        found = []
        if self.view and self.view not in _FRONTAL:
            found.append(f"view {self.view} is not frontal (AP or PA)")
        if self.body_part not in _CHEST:
            found.append(f"body part {self.body_part} is not the chest")
        if not self.modality:
            found.append("no modality is given")
        if self.intent == "FOR PROCESSING":
            found.append("raw detector values (FOR PROCESSING), not made to be shown")
        return found


def dicom_facts(path: str | Path) -> DicomFacts:
    """Read the facts of a file from its header; pixels are not touched.

    Raises:
        DataError: It cannot be parsed; names the file.
    """
    header = parse(path, stop_before_pixels=True, specific_tags=_TAGS)
    return DicomFacts(
        patient=_word(header, "PatientID", upper=False),
        sex=_word(header, "PatientSex"),
        age=years(_word(header, "PatientAge")),
        modality=_word(header, "Modality"),
        view=_word(header, "ViewPosition"),
        body_part=_word(header, "BodyPartExamined"),
        laterality=_word(header, "ImageLaterality") or _word(header, "Laterality"),
        photometric=_word(header, "PhotometricInterpretation"),
        pixel_spacing=_spacing(header, "PixelSpacing") or _spacing(header, "ImagerPixelSpacing"),
        intent=_word(header, "PresentationIntentType"),
    )


def years(age: str) -> float | None:
    """DICOM's age (three digits and D, W, M or Y) in years; digits alone, as some files have, are years.

    >>> years("018M"), years("58"), years("unknown")
    (1.5, 58.0, None)
    """
    parts = re.fullmatch(r"(\d{1,3})([DWMY]?)", age)
    return int(parts[1]) * _YEARS[parts[2]] if parts else None


def _word(header: Dataset, name: str, upper: bool = True) -> str:
    try:
        value = str(header.get(name) or "").strip()
    except Exception:  # a value that cannot be read tells nothing; the pixels may be sound
        return ""
    return value.upper() if upper else value


def _spacing(header: Dataset, name: str) -> tuple[float, float] | None:
    try:
        rows, columns = (float(value) for value in header.get(name))
    except Exception:  # absent, or not two numbers
        return None
    return (rows, columns) if rows > 0 and columns > 0 else None
