"""Header of a radiograph as its results need it: ids to refer to, and patient and study to take over."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from pydicom import DataElement, Dataset
from pydicom.config import RAISE
from pydicom.datadict import dictionary_VM
from pydicom.valuerep import validate_value

from pneumo_ad.data.readers.dicom import parse
from pneumo_ad.errors import DataError

IDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
# May be empty in an object, but not missing (type 2).
_EMPTY = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID"),
    *("AccessionNumber", "ReferringPhysicianName"),
)
PATIENT_AND_STUDY = (
    *("StudyInstanceUID", *_EMPTY, "IssuerOfPatientID", "OtherPatientIDsSequence", "PatientBirthTime", "PatientAge"),
    *("PatientSize", "PatientWeight", "PatientComments", "PatientIdentityRemoved", "DeidentificationMethod"),
    *("DeidentificationMethodCodeSequence", "StudyDescription", "IssuerOfAccessionNumberSequence"),
    *("ProcedureCodeSequence", "PhysiciansOfRecord", "AdditionalPatientHistory", "AdmissionID"),
)
_IMAGE = (
    *("Modality", "Rows", "Columns", "PixelSpacing", "PatientOrientation", "BodyPartExamined", "InstanceNumber"),
    *("ContentDate", "ContentTime", "AcquisitionDate", "AcquisitionTime", "SeriesDate", "SeriesTime"),
    *("TimezoneOffsetFromUTC", "LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"),
    *("Manufacturer", "ManufacturerModelName", "SoftwareVersions", "DeviceSerialNumber", "InstitutionName"),
    *("StationName",),
)
_SEXES = ("M", "F", "O", "")
_DIRECTION = re.compile("[APRLHF]{1,3}")


class Reference(NamedTuple):
    """Radiograph that objects refer to.

    Attributes:
        header: Ids, patient, study and image attributes in UTF-8, each of them valid; no pixels.
        left_out: Keywords of the patient's and the study's attributes that are invalid, and so not taken over.
    """

    header: Dataset
    left_out: list[str]


def read_reference(path: Path) -> Reference:
    """Read the header of a radiograph.

    Text is decoded by the file's own character set, and becomes UTF-8 (ISO_IR 192), which holds every name.

    Args:
        path: DICOM file.

    Raises:
        DataError: It cannot be parsed, or an id that a reference needs is missing, invalid or not known; names those.
    """
    header = parse(path, specific_tags=["SpecificCharacterSet", *PATIENT_AND_STUDY, *IDS, *_IMAGE])
    header.decode()
    found = Dataset()
    left_out = []
    for keyword in dict.fromkeys((*PATIENT_AND_STUDY, *IDS, *_IMAGE)):
        element = _element(header, keyword)
        if element is not None:
            found[keyword] = element
        elif keyword in header and keyword in PATIENT_AND_STUDY:
            left_out.append(keyword)
    if lacking := [keyword for keyword in IDS if not found.get(keyword)]:
        raise DataError(f"{path}: {' and '.join(lacking)} missing or invalid")
    if found.SOPClassUID.name == found.SOPClassUID:  # pydicom has no name for it
        raise DataError(f"{path}: SOPClassUID {found.SOPClassUID} is not known")
    for keyword in (*_EMPTY, "PatientOrientation", "Modality"):
        if keyword not in found:
            setattr(found, keyword, None)
    found.SpecificCharacterSet = "ISO_IR 192"
    return Reference(found, left_out)


def _element(header: Dataset, keyword: str) -> DataElement | None:
    """Return an attribute of a header; None where it is missing, unreadable or invalid."""
    try:
        element = header[keyword]
        _check(element)
    except Exception:  # damaged values make pydicom raise errors of many types
        return None
    values = list(element.value) if element.VM > 1 else [element.value]
    if keyword == "PatientSex" and element.value not in _SEXES:
        return None
    if keyword == "PixelSpacing" and not (len(values) == 2 and all(value > 0 for value in values)):
        return None
    if keyword == "PatientOrientation" and not (len(values) == 2 and all(map(_DIRECTION.fullmatch, values))):
        return None
    return element


def _check(element: DataElement) -> None:
    """Raise a ValueError for values that are invalid for their type, or too many, within sequences too."""
    if element.VR == "SQ":
        for item in element.value:
            for inner in item:
                _check(inner)
        return
    if element.VM > 1 and dictionary_VM(element.tag) == "1":
        raise ValueError(f"{element.keyword} has {element.VM} values")
    values = element.value if element.VM > 1 else [element.value]
    for value in values:
        if value is not None:
            plain = str(value) if element.VR in ("DS", "IS", "PN", "UI") else value
            validate_value(element.VR, plain, RAISE)
