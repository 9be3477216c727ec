"""Headers: ids that are needed, patient and study that are taken over, and values that are not."""

import numpy as np
import pytest
from dicoms import write_study

from pneumo_ad.dicom.references import IDS, PATIENT_AND_STUDY, read_reference
from pneumo_ad.errors import DataError

PIXELS = np.zeros((6, 8), dtype=np.uint8)


@pytest.mark.parametrize("missing", IDS)
@pytest.mark.parametrize("value", [None, ""])
def test_an_id_that_is_missing_is_named(tmp_path, missing, value):
    with pytest.raises(DataError, match=f"a.dcm: {missing} missing or invalid$"):
        read_reference(write_study(tmp_path / "a.dcm", PIXELS, **{missing: value}))


@pytest.mark.filterwarnings("ignore:Invalid value")
def test_ids_that_are_missing_are_named_together(tmp_path):
    path = write_study(tmp_path / "a.dcm", PIXELS, StudyInstanceUID="no uid", SOPInstanceUID=None)
    with pytest.raises(DataError, match="StudyInstanceUID and SOPInstanceUID missing or invalid"):
        read_reference(path)


NAMES = [
    ("ISO_IR 144", "Люкceмбypг^Иван"),
    (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    (["ISO 2022 IR 13", "ISO 2022 IR 87"], "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
    ("GB18030", "Wang^XiaoDong=王^小东"),
    ("ISO_IR 100", "Müller^Åse"),
    ("ISO_IR 192", "Διονυσιος^肺"),
]


@pytest.mark.parametrize(("characters", "name"), NAMES)
def test_names_become_utf_8_whole(tmp_path, characters, name):
    path = write_study(tmp_path / "a.dcm", PIXELS, SpecificCharacterSet=characters, PatientName=name)
    assert name.encode() not in path.read_bytes() or characters == "ISO_IR 192"
    header, left_out = read_reference(path)
    assert (str(header.PatientName), header.SpecificCharacterSet, left_out) == (name, "ISO_IR 192", [])


@pytest.mark.filterwarnings("ignore:Invalid value", "ignore:The value length")
def test_values_that_are_invalid_are_left_out_by_name(tmp_path):
    bad = {
        "PatientSex": "X", "PatientBirthDate": "1970-01-02", "PatientAge": "58", "StudyID": "7" * 17,
        "StudyTime": "25:00", "PatientID": ["a", "b"], "PixelSpacing": [0, 0], "PatientOrientation": ["left", "down"],
    }  # fmt: skip
    header, left_out = read_reference(write_study(tmp_path / "a.dcm", PIXELS, **bad))
    assert set(left_out) == set(bad) & set(PATIENT_AND_STUDY)
    assert not any(header.get(keyword) for keyword in bad)
    assert {"PatientSex", "PatientBirthDate", "StudyID", "StudyTime", "PatientID"} <= set(header.dir())  # but empty
    assert header.PatientName == "Doe^Jane"


def test_attributes_that_may_be_empty_may_be_missing(tmp_path):
    names = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID")
    header, left_out = read_reference(write_study(tmp_path / "a.dcm", PIXELS, **dict.fromkeys(names)))
    assert left_out == []
    assert all(name in header and not header[name].value for name in names)
