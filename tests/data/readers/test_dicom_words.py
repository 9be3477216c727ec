"""No damage makes a message name a patient."""

import random

from dicoms import PATIENT, write_studies

from pneumo_ad.data.readers.dicom_facts import dicom_facts
from pneumo_ad.data.readers.radiograph import read_grey
from pneumo_ad.errors import DataError

WORDS = (*PATIENT, *PATIENT[0].split("^"), *(word.upper() for word in PATIENT[0].split("^")), "4711")


def damaged(header, rng):
    """A header with bytes changed, cut, put in, or copied from elsewhere in it."""
    header = bytearray(header)
    for _ in range(rng.choice([1, 1, 2, 4, 8])):
        here, there, count = rng.randrange(132, len(header)), rng.randrange(132, len(header)), rng.randrange(1, 12)
        change = rng.randrange(4)
        if change == 0:
            header[here] = rng.randrange(256)
        elif change == 1:
            del header[here : here + count]
        elif change == 2:
            header[here:here] = rng.randbytes(count)
        else:
            header[here : here + 8] = header[there : there + 8]
    return bytes(header)


def test_no_damage_makes_a_message_name_a_patient(tmp_path):
    (file,) = write_studies(tmp_path, 1, side=32)
    whole, rng, refused = file.read_bytes(), random.Random(1), 0
    pixels = 2 * 32 * 32
    for _ in range(3000):
        file.write_bytes(damaged(whole[:-pixels], rng) + whole[-pixels:])
        for read in (read_grey, dicom_facts):
            try:
                said = str(getattr(read(file), "doubts", ""))
            except DataError as reason:
                said, refused = str(reason), refused + 1
            assert not [word for word in WORDS if word in said], said
    assert refused > 1000
