"""Secondary capture: a picture as a DICOM object, with what it was derived from and how."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydicom import DataElement, Dataset

from pneumo_ad.dicom.equipment import Equipment


def make_secondary_capture(
    picture: npt.NDArray[np.uint8], source: Dataset, equipment: Equipment, derivation: str
) -> Dataset:
    """Build a secondary capture of a picture that was drawn over a radiograph.

    Args:
        picture: (h, w, 3) uint8 RGB.
        source: Header of the radiograph (`read_reference`).
        equipment: Model that it shows the result of.
        derivation: Description of what is drawn, at most 1024 characters.
    """
    from highdicom.sc import SCImage
    from highdicom.sr import CodedConcept
    from pydicom.sr.codedict import codes
    from pydicom.uid import ExplicitVRLittleEndian

    made = SCImage.from_ref_dataset(
        source,
        picture,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "F"),  # asked for; replaced below, as it may be unknown
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **equipment.attributes(source, "overlay"),
    )
    made.PatientOrientation = source.PatientOrientation
    if source.get("BodyPartExamined") == "CHEST":  # no paired part, so that it needs no laterality
        made.BodyPartExamined = source.BodyPartExamined
    else:
        made["Laterality"] = DataElement("Laterality", "CS", None)
    for keyword in ("DateOfSecondaryCapture", "TimeOfSecondaryCapture"):
        made.pop(keyword)
    made.ConversionType = "WSD"
    made.BurnedInAnnotation = "YES"
    made.DerivationDescription = derivation
    made.DerivationCodeSequence = [CodedConcept.from_code(codes.DCM.SpatialResampling)]
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = source.SOPClassUID, source.SOPInstanceUID
    reference.PurposeOfReferenceCodeSequence = [
        CodedConcept.from_code(codes.DCM.SourceImageForImageProcessingOperation)
    ]
    made.SourceImageSequence = [reference]
    for keyword in ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"):
        if keyword in source:
            made[keyword] = source[keyword]
    return equipment.finish(made, source)
