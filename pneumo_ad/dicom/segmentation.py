"""Segmentation: masks in the pixels of a radiograph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pydicom import Dataset

from pneumo_ad.dicom.equipment import NAME, NOT_FOR_DIAGNOSIS, Equipment

if TYPE_CHECKING:
    from pydicom.sr.coding import Code


@dataclass(frozen=True)
class Segment:
    """Mask with its meaning.

    Attributes:
        kind: A key of `_CODES`: `lung`, `healthy`, `opacity` or `outside`.
        label: Name that viewers show, at most 64 characters.
        description: How the mask was made.
        mask: (H, W) bool in the stored pixels of the radiograph.
        colour: Colour to show it in, `#rrggbb`.
    """

    kind: str
    label: str
    description: str
    mask: npt.NDArray[np.bool_]
    colour: str


def make_segmentation(segments: Sequence[Segment], source: Dataset, equipment: Equipment) -> Dataset:
    """Build a binary segmentation, a frame per segment, pixel by pixel that of the radiograph.

    Args:
        segments: At least one; they may overlap.
        source: Header of the radiograph (`read_reference`).
        equipment: Model that found them.
    """
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.color import CIELabColor
    from highdicom.seg import Segmentation, SegmentDescription
    from pydicom.sr.codedict import codes

    from pneumo_ad import __version__

    algorithm = AlgorithmIdentificationSequence(
        name=NAME,
        family=codes.DCM.ArtificialIntelligence,
        version=__version__,
        parameters={"model": equipment.model, "digest": equipment.digest},
    )
    descriptions = []
    for number, segment in enumerate(segments, start=1):
        category, kind = _codes(segment.kind)
        one = SegmentDescription(
            number,
            segment.label,
            category,
            kind,
            algorithm_type="AUTOMATIC",
            algorithm_identification=algorithm,
            display_color=CIELabColor.from_string(segment.colour),
        )
        one.SegmentDescription = segment.description
        descriptions.append(one)
    made = Segmentation(
        source_images=[source],
        pixel_array=np.stack([segment.mask for segment in segments], axis=-1)[None],
        segmentation_type="BINARY",
        segment_descriptions=descriptions,
        content_label="PNEUMO_AD",
        content_description=NOT_FOR_DIAGNOSIS,
        omit_empty_frames=False,
        **equipment.attributes(source, "segmentation"),
    )
    made.PatientOrientation = source.PatientOrientation
    return equipment.finish(made, source)


def _codes(kind: str) -> tuple[Code, Code]:
    """Return category and type of a kind of segment (CID 7150 and 7151)."""
    from pydicom.sr.codedict import codes

    named: dict[str, tuple[Any, Any]] = {
        "lung": (codes.SCT.AnatomicalStructure, codes.SCT.Lung),
        "healthy": (codes.SCT.AnatomicalStructure, codes.SCT.Lung),
        "opacity": (codes.SCT.MorphologicallyAbnormalStructure, codes.DCM.Opacity),
        "outside": (codes.SCT.SpatialAndRelationalConcept, codes.DCM.Background),
    }
    return named[kind]
