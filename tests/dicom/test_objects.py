"""Overlay, segmentation and report as DICOM objects: valid by dciodvfy, complete, and the same each time."""

import shutil
import subprocess

import numpy as np
import pydicom
import pytest
from dicoms import write_study
from pydicom.uid import (
    DigitalXRayImageStorageForPresentation,
    SecondaryCaptureImageStorage,
)

from pneumo_ad.dicom.equipment import Equipment
from pneumo_ad.dicom.references import read_reference
from pneumo_ad.dicom.secondary_capture import make_secondary_capture
from pneumo_ad.dicom.segmentation import Segment, make_segmentation
from pneumo_ad.dicom.structured_report import DECISIONS, Findings, make_report

PIXELS = np.arange(7 * 9, dtype=np.uint16).reshape(7, 9)
MASKS = {kind: np.random.default_rng(seed).random((7, 9)) > 0.5 for seed, kind in enumerate(("lung", "opacity"))}
MODEL = Equipment("a model", "0123456789abcdef")
FOUND = Findings(
    0.3, "chance of opacity", 97.5, 0.025, 0.25, 0.05, {"opacity": 0.125}, 0.4, True, ("small lung area", "肺")
)


def write_all(folder, source, equipment=MODEL, found=FOUND):
    """Write the three objects, and read them again: by kind."""
    header = read_reference(source).header
    picture = np.random.default_rng(0).integers(0, 256, (30, 20, 3), dtype=np.uint8)
    segments = [Segment(kind, f"the {kind}", f"how {kind}", mask, "#d95f02") for kind, mask in MASKS.items()]
    made = {"overlay": make_secondary_capture(picture, header, equipment, "drawn")}
    made["segmentation"] = make_segmentation(segments, header, equipment)
    made["report"] = make_report(found, header, equipment, list(made.values()))
    folder.mkdir(exist_ok=True)
    for kind, dataset in made.items():
        dataset.save_as(folder / f"{kind}.dcm", enforce_file_format=True)
    return {kind: pydicom.dcmread(folder / f"{kind}.dcm") for kind in made}


SOURCES = {
    "CR": {},
    "DX": {"SOPClassUID": DigitalXRayImageStorageForPresentation, "Modality": "DX"},
    "scanned": {"SOPClassUID": SecondaryCaptureImageStorage, "Modality": "RG"},
    "no modality": {"SOPClassUID": SecondaryCaptureImageStorage, "Modality": None},
    "no dates": {"StudyDate": None, "StudyTime": None},
    "no patient": dict.fromkeys(["PatientName", "PatientID", "PatientBirthDate", "PatientSex"], ""),
    "no body part": {"BodyPartExamined": None, "PatientOrientation": None},
    "a lung": {"BodyPartExamined": "LUNG"},
    "a head": {"BodyPartExamined": "HEAD"},
    "Japanese": {"SpecificCharacterSet": ["", "ISO 2022 IR 87"], "PatientName": "Yamada^Tarou=山田^太郎"},
    "lossy": {"LossyImageCompression": "01"},
    "lossy, in full": {
        "LossyImageCompression": "01", "LossyImageCompressionRatio": 9.5, "LossyImageCompressionMethod": "ISO_10918_1",
    },
    "of a frame": {"FrameOfReferenceUID": "1.2.3", "PixelSpacing": [0.2, 0.1], "ImagerPixelSpacing": [0.2, 0.1]},
    "others' ids": {"OtherPatientIDs": "x", "PatientAge": "040Y", "PatientWeight": "70.5", "StudyDescription": "肺"},
    "de-identified": {"PatientIdentityRemoved": "YES", "DeidentificationMethod": "by hand"},
    "long names": {"Manufacturer": "m" * 64, "StationName": "s" * 16, "SoftwareVersions": ["1", "2"]},
}  # fmt: skip


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is not installed")
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("tags", SOURCES.values(), ids=SOURCES)
def test_dciodvfy_finds_no_error(tmp_path, tags):
    write_all(tmp_path / "out", write_study(tmp_path / "a.dcm", PIXELS, **tags))
    for file in sorted((tmp_path / "out").iterdir()):
        said = subprocess.run(["dciodvfy", file], capture_output=True, text=True, check=False).stderr
        kind = {"overlay": "SCImage", "segmentation": "Segmentation", "report": "ComprehensiveSR"}[file.stem]
        assert kind in said.splitlines()  # it was read, and taken for that
        assert "Error" not in said, f"{file.name}: {said}"


def test_patient_and_study_are_the_radiographs_and_ids_are_new(tmp_path):
    name = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    tags = {"SpecificCharacterSet": ["", "ISO 2022 IR 87"], "PatientName": name, "PatientAge": "040Y"}
    source = pydicom.dcmread(write_study(tmp_path / "a.dcm", PIXELS, StudyDescription="thorax", **tags))
    made = write_all(tmp_path / "out", tmp_path / "a.dcm")
    for dataset in made.values():
        for keyword in ("StudyInstanceUID", "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "PatientAge"):
            assert dataset[keyword].value == source[keyword].value, keyword
        for keyword in ("StudyDate", "StudyTime", "StudyID", "StudyDescription", "AccessionNumber"):
            assert dataset[keyword].value == source[keyword].value, keyword
        assert str(dataset.PatientName) == name
        assert "not for diagnosis" in dataset.SeriesDescription
        assert (dataset.Manufacturer, dataset.DeviceSerialNumber) == ("pneumo_ad", MODEL.digest)
    ids = [one[f"{level}InstanceUID"].value for one in (source, *made.values()) for level in ("SOP", "Series")]
    assert len(set(ids)) == len(ids)


def test_the_same_input_and_model_give_the_same_bytes_and_others_other_ids(tmp_path):
    source = write_study(tmp_path / "a.dcm", PIXELS)
    first, again = (write_all(tmp_path / name, source) for name in ("1", "2"))
    for kind in first:
        assert (tmp_path / "1" / f"{kind}.dcm").read_bytes() == (tmp_path / "2" / f"{kind}.dcm").read_bytes()
    other_model = write_all(tmp_path / "3", source, Equipment("a model", "another digest"))
    other_input = write_all(tmp_path / "4", write_study(tmp_path / "b.dcm", PIXELS, number=2))
    for kind, one in again.items():
        ids = {made[kind].SOPInstanceUID for made in (first, other_model, other_input)}
        assert len(ids) == 3
        assert one.SOPInstanceUID in ids


def test_a_capture_says_what_it_was_derived_from_and_that_it_has_annotations(tmp_path):
    source = write_study(tmp_path / "a.dcm", PIXELS)
    made = write_all(tmp_path / "out", source)["overlay"]
    assert (made.BurnedInAnnotation, made.DerivationDescription, made.ImageType[0]) == ("YES", "drawn", "DERIVED")
    assert made.SourceImageSequence[0].ReferencedSOPInstanceUID == pydicom.dcmread(source).SOPInstanceUID
    picture = np.random.default_rng(0).integers(0, 256, (30, 20, 3), dtype=np.uint8)
    assert (made.pixel_array == picture).all()


def test_segments_come_back_in_the_pixels_of_the_radiograph(tmp_path):
    made = write_all(tmp_path / "out", write_study(tmp_path / "a.dcm", PIXELS))["segmentation"]
    assert (made.Rows, made.Columns, made.NumberOfFrames) == (7, 9, 2)
    assert (made.pixel_array == np.stack(list(MASKS.values()))).all()
    assert [item.SegmentLabel for item in made.SegmentSequence] == ["the lung", "the opacity"]
    assert [item.SegmentDescription for item in made.SegmentSequence] == ["how lung", "how opacity"]
    assert "digest=0123456789abcdef" in (
        made.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0].AlgorithmParameters
    )


def test_segments_without_any_pixel_are_kept(tmp_path):
    header = read_reference(write_study(tmp_path / "a.dcm", PIXELS)).header
    empty = Segment("opacity", "opacity", "none", np.zeros(PIXELS.shape, dtype=bool), "#d95f02")
    made = make_segmentation([empty], header, MODEL)
    assert (made.NumberOfFrames, made.pixel_array.any()) == (1, False)


def items(report):
    """Content items of the measurement group: meaning of the name -> values."""
    (measurements,) = [one for one in report.ContentSequence if one.ValueType == "CONTAINER"]
    (group,) = measurements.ContentSequence
    found = {}
    for item in group.ContentSequence:
        value = {
            "NUM": lambda item: float(item.MeasuredValueSequence[0].NumericValue),
            "TEXT": lambda item: item.TextValue,
            "CODE": lambda item: item.ConceptCodeSequence[0].CodeMeaning,
            "IMAGE": lambda item: item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID,
            "UIDREF": lambda item: item.UID,
        }[item.ValueType](item)
        found.setdefault(item.ConceptNameCodeSequence[0].CodeMeaning, []).append(value)
    return found


def test_a_report_holds_what_was_found(tmp_path):
    source = write_study(tmp_path / "a.dcm", PIXELS)
    report = write_all(tmp_path / "out", source)["report"]
    assert report.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    found = items(report)
    assert {name: found[name] for name in found if isinstance(found[name][0], float)} == {
        "Anomaly score": [0.3], "Percentile Ranking of measurement": [97.5], "Conformal p-value": [0.025],
        "Score above which it is anomalous": [0.25], "Declared false-alarm rate": [0.05],
        "Score of a pixel above which it is opacity": [0.125], "Share of the radiograph in the lung field": [0.4],
    }  # fmt: skip
    assert found["Decision"] == [DECISIONS[True][1]]
    assert found["Algorithm Parameters"] == ["model=a model", "digest=0123456789abcdef"]
    assert found["Comment"][1:] == ["small lung area", "肺"]
    assert found["Source of Measurement"] == [pydicom.dcmread(source).SOPInstanceUID]
    assert (report.VerificationFlag, report.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")


def test_a_report_leaves_out_what_is_not_known(tmp_path):
    unknown = Findings(None, "levels", None, None, None, 0.05, {}, None, None)
    found = items(write_all(tmp_path / "out", write_study(tmp_path / "a.dcm", PIXELS), found=unknown)["report"])
    assert [name for name in found if isinstance(found[name][0], float)] == ["Declared false-alarm rate"]
    assert found["Decision"] == ["Undecided"]
    assert "Finding" not in found  # nothing is asserted to be there
