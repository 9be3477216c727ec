import numpy as np
import pytest
from dicoms import write_dicom

from pneumo_ad.data.readers.dicom_facts import DicomFacts, dicom_facts
from pneumo_ad.errors import DataError

PIXELS = np.arange(100, dtype=np.uint16).reshape(10, 10)


def facts_of(folder, **tags):
    return dicom_facts(write_dicom(folder / "x.dcm", PIXELS, **tags))


def test_facts_are_those_of_the_header_and_no_name(tmp_path):
    found = facts_of(
        tmp_path, PatientName="Doe^Jane", PatientID="p-17", PatientSex="F", PatientAge="018M", Modality="DX",
        ViewPosition="PA", BodyPartExamined="CHEST",
    )  # fmt: skip
    assert found == DicomFacts(sex="F", age=1.5, modality="DX", view="PA", body_part="CHEST")
    assert "Doe" not in repr(found)
    assert "p-17" not in repr(found)
    assert found.doubts == []


def test_what_a_header_does_not_tell_is_blank(tmp_path):
    found = facts_of(tmp_path, Modality=None)
    assert found == DicomFacts()
    assert found.doubts == ["no modality is given"]


@pytest.mark.parametrize("view", ["LL", "RL", "LATERAL", "LLO"])
def test_views_that_are_not_frontal_are_told(tmp_path, view):
    assert facts_of(tmp_path, ViewPosition=view).doubts == [f"view {view} is not frontal (AP or PA)"]


def test_other_body_parts_and_raw_values_are_told(tmp_path):
    found = facts_of(tmp_path, BodyPartExamined="HAND", PresentationIntentType="FOR PROCESSING", ViewPosition="AP")
    assert [doubt.split()[0] for doubt in found.doubts] == ["body", "raw"]


def test_the_header_is_enough(tmp_path):
    path = write_dicom(tmp_path / "x.dcm", PIXELS, PatientSex="F")
    path.write_bytes(path.read_bytes()[:-150])
    assert dicom_facts(path).sex == "F"
    with pytest.raises(DataError, match=r"absent\.dcm: no such file"):
        dicom_facts(tmp_path / "absent.dcm")
