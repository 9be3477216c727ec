"""DICOM beyond reading: results as DICOM objects, DICOMweb and a DICOM node. Needs the extra `dicom`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pneumo_ad import doors

if TYPE_CHECKING:
    from pneumo_ad.dicom.equipment import Equipment
    from pneumo_ad.dicom.node import Node, Tls
    from pneumo_ad.dicom.queue import InstanceQueue
    from pneumo_ad.dicom.references import Reference, read_reference
    from pneumo_ad.dicom.secondary_capture import make_secondary_capture
    from pneumo_ad.dicom.segmentation import Segment, make_segmentation
    from pneumo_ad.dicom.send import Peer
    from pneumo_ad.dicom.structured_report import Findings, make_report
    from pneumo_ad.dicom.web import Query, Server

__all__ = [
    "Equipment",
    "Findings",
    "InstanceQueue",
    "Node",
    "Peer",
    "Query",
    "Reference",
    "Segment",
    "Server",
    "Tls",
    "make_report",
    "make_secondary_capture",
    "make_segmentation",
    "read_reference",
]

__getattr__, __dir__ = doors(
    __name__,
    {
        "equipment": "Equipment",
        "node": "Node Tls",
        "queue": "InstanceQueue",
        "references": "Reference read_reference",
        "secondary_capture": "make_secondary_capture",
        "segmentation": "Segment make_segmentation",
        "send": "Peer",
        "structured_report": "Findings make_report",
        "web": "Query Server",
    },
)
