"""DICOM beyond reading: results as DICOM objects, DICOMweb and a DICOM node. Needs the extra `dicom`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pneumo_ad import doors

if TYPE_CHECKING:
    from pneumo_ad.dicom.equipment import Equipment
    from pneumo_ad.dicom.references import Reference, read_reference
    from pneumo_ad.dicom.secondary_capture import make_secondary_capture
    from pneumo_ad.dicom.segmentation import Segment, make_segmentation
    from pneumo_ad.dicom.structured_report import Findings, make_report

__all__ = [
    "Equipment",
    "Findings",
    "Reference",
    "Segment",
    "make_report",
    "make_secondary_capture",
    "make_segmentation",
    "read_reference",
]

__getattr__ = doors(
    __name__,
    {
        "equipment": "Equipment",
        "references": "Reference read_reference",
        "secondary_capture": "make_secondary_capture",
        "segmentation": "Segment make_segmentation",
        "structured_report": "Findings make_report",
    },
)
