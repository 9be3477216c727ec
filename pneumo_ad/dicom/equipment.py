"""Equipment that made an object: this package, its version, and the model; with the ids and dates of the object."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from pydicom import Dataset

from pneumo_ad import __version__
from pneumo_ad.dicom.references import PATIENT_AND_STUDY
from pneumo_ad.dicom.uids import derived_uid

NAME = "pneumo_ad"
NOT_FOR_DIAGNOSIS = "not for diagnosis"
SERIES = {"overlay": 9001, "segmentation": 9002, "report": 9003}  # kind of object -> number of its series
_DATES = ("Content", "Acquisition", "Series", "Study")
_NO_DATE = "19000101"

logging.getLogger("highdicom").setLevel(logging.ERROR)  # it records each attribute that it copies


@dataclass(frozen=True)
class Equipment:
    """Model that made an object.

    Attributes:
        model: Name of the model.
        digest: Digest of everything that its predictions depend on.
    """

    model: str
    digest: str

    def uid(self, source: Dataset, *kind: str) -> str:
        """Return an id that the radiograph, the model, the version of this package and the kind determine.

        Args:
            source: Header of the radiograph.
            kind: Names of the identified thing, for example `report`, `series`.
        """
        return derived_uid(str(source.SOPInstanceUID), self.digest, __version__, *kind)

    def attributes(self, source: Dataset, kind: str) -> dict[str, Any]:
        """Return arguments that highdicom's classes share: ids, equipment, description and dates of one object.

        Dates are those of the radiograph (`19000101` without any): an id stands for the same bytes wherever and
        whenever they are written.

        Args:
            source: Header of the radiograph.
            kind: A key of `SERIES`.
        """
        date, time = _moment(source)
        return {
            "series_instance_uid": self.uid(source, kind, "series"),
            "series_number": SERIES[kind],
            "sop_instance_uid": self.uid(source, kind),
            "instance_number": 1,
            "series_description": f"{NAME} {kind}, {NOT_FOR_DIAGNOSIS}",
            "manufacturer": NAME,
            "manufacturer_model_name": NAME,
            "software_versions": __version__,
            "device_serial_number": self.digest,
            "content_date": date,
            "content_time": time,
            "specific_character_set": source.SpecificCharacterSet,
        }

    def finish(self, made: Dataset, source: Dataset) -> Dataset:
        """Take over patient and study, and remove what differs from call to call: the time now, and random ids.

        Args:
            made: Object of highdicom, which is changed.
            source: Header of the radiograph.
        """
        for keyword in (*PATIENT_AND_STUDY, "TimezoneOffsetFromUTC"):
            if keyword in source:
                made[keyword] = source[keyword]
        for keyword in ("InstanceCreationDate", "InstanceCreationTime"):
            made.pop(keyword, None)
        for equipment in made.get("ContributingEquipmentSequence", ()):
            equipment.pop("ContributionDateTime", None)
        organization = self.uid(source, "dimensions")
        for item in (*made.get("DimensionOrganizationSequence", ()), *made.get("DimensionIndexSequence", ())):
            item.DimensionOrganizationUID = organization
        return made


def _moment(source: Dataset) -> tuple[str, str]:
    """Return the first of the radiograph's dates, with its time."""
    for name in _DATES:
        if date := source.get(f"{name}Date"):
            return str(date), str(source.get(f"{name}Time") or "000000")
    return _NO_DATE, "000000"
