import os
import subprocess
import sys
import tracemalloc
import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pydicom
import pydicom.data
import pytest
from dicoms import SYNTAXES, compress, dicom_of, write_dicom
from drawn import radiograph
from PIL import Image
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import JPEG2000, JPEGExtended12Bit, JPEGLosslessSV1, MediaStorageDirectoryStorage

from pneumo_ad.data.readers.dicom import is_dicom
from pneumo_ad.data.readers.dicom_facts import dicom_facts
from pneumo_ad.data.readers.radiograph import looks_like_radiograph, read_grey, read_mask, read_pixels, read_radiograph
from pneumo_ad.errors import DataError

DEEP = (np.add.outer(np.arange(48), np.arange(40)) * 40).astype(np.uint16)  # 0 to 3440: 12 bits


@pytest.fixture(scope="module")
def examples():
    """Folder of the test files in the package pydicom-data, which needs no network."""
    found = find_spec("data_store")
    if found is None:
        pytest.skip("pydicom-data is not installed: real DICOM files are not tested (pip install pydicom-data)")
    return Path(found.origin).parent / "data"


def refusal(path):
    with pytest.raises(DataError) as refused:
        read_radiograph(path)
    assert str(path) in str(refused.value)
    return str(refused.value)


def attempt(path):
    """Pixels, or None where they are refused by name; anything but a `DataError` passes through."""
    try:
        return read_pixels(path)
    except DataError as refused:
        if str(path) not in str(refused):
            raise AssertionError(f"{refused} does not name {path}") from refused
        return None


def changed(folder, pixels=DEEP, bits=12, **tags):
    """The refusal of a file with these tags."""
    return refusal(write_dicom(folder / "x.dcm", pixels, bits, **tags))


def test_every_example_is_read_or_refused_by_name_and_nothing_is_said(examples):
    # In a process of its own: what libraries write past Python, and warnings under the filters of a user, are seen.
    code = """
import sys, warnings
from pathlib import Path
import numpy as np
warnings.simplefilter("error")
from pneumo_ad.data.readers.radiograph import read_radiograph
from pneumo_ad.errors import DataError
for folder in sys.argv[1:]:
    for file in sorted(Path(folder).rglob("*")):
        if file.is_file() and file.suffix not in (".py", ".pyc", ".txt", ".json", ".md"):
            try:
                x = read_radiograph(file)
                assert x.dtype == np.float32 and x.ndim == 3 and len(x) == 1 and 0 <= x.min() < x.max() <= 1, file
                print("read", file.name)
            except DataError as reason:
                assert str(file) in str(reason), reason
                print("refused", file.name, reason)
"""
    folders = [str(Path(pydicom.data.__file__).parent), str(examples)]
    done = subprocess.run([sys.executable, "-c", code, *folders], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    read = {line.split()[1] for line in lines if line.startswith("read")}
    radiographs = {f"RG{i}_{kind}.dcm" for i in (1, 3) for kind in ("UNCR", "UNCI", "J2KR", "J2KI")}
    assert read == radiographs | {"6154", "6247", "6278", "JPEGLSNearLossless_08.dcm", "JPEGLSNearLossless_16.dcm"}
    assert len(lines) > 200
    said = {line.split()[1]: line for line in lines if line.startswith("refused")}
    for name, words in {
        "CT_small.dcm": "modality CT is no radiograph",
        "reportsi.dcm": "modality SR",
        "DICOMDIR": "is a DICOMDIR",
        "SC_rgb_jpeg_app14_dcmd.dcm": "'RGB' with 3 samples",
        "UN_sequence.dcm": "is no DICOM file, whatever its name, or it ends",
        "hotiron.dcm": "holds no pixels",
        "chrKoreanMulti.dcm": "ends before its pixels, 32 x 32 by its header",
    }.items():
        assert words in said[name], said[name]


def test_a_real_monochrome1_chest_has_bright_bones_and_dark_air(examples):
    x = read_radiograph(examples / "RG1_UNCR.dcm")[0]
    assert x.shape == (1955, 1841)
    air, lungs, spine = x[130:200, :60], np.r_[x[500:800, 550:650], x[500:800, 1150:1250]], x[900:1200, 860:960]
    assert air.mean() < lungs.mean() - 0.1 < spine.mean() - 0.3


def test_lossless_twins_are_equal_and_lossy_ones_nearly(examples):
    for number in (1, 3):
        plain = read_radiograph(examples / f"RG{number}_UNCR.dcm")
        assert np.array_equal(read_radiograph(examples / f"RG{number}_J2KR.dcm"), plain)
        assert np.abs(read_radiograph(examples / f"RG{number}_J2KI.dcm") - plain).mean() < 0.01


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("name", [name for name in SYNTAXES if name != "jpeg"])
def test_lossless_syntaxes_give_back_what_was_written(tmp_path, name, bits):
    pixels = np.random.default_rng(bits).integers(0, 2**bits, (32, 47)).astype(np.uint8 if bits == 8 else np.uint16)
    plain = write_dicom(tmp_path / "plain.dcm", pixels, bits, WindowCenter=100, WindowWidth=150)
    coded = compress(plain, tmp_path / "coded.dcm", name)
    assert plain.read_bytes() != coded.read_bytes()
    assert np.array_equal(read_pixels(coded), pixels)
    assert np.array_equal(read_radiograph(coded), read_radiograph(plain))


def test_jpeg_of_8_bits_as_the_rsna_set_has_it(tmp_path):
    pixels = radiograph(0, 64, 48)
    coded = compress(write_dicom(tmp_path / "plain.dcm", pixels), tmp_path / "coded.dcm", "jpeg")
    assert np.abs(read_pixels(coded).astype(int) - pixels).mean() < 6
    assert read_grey(coded)[1] == (0.0, 255.0)


@pytest.mark.parametrize("little", [True, False])
def test_big_and_little_endian_and_a_file_without_preamble(tmp_path, little):
    dataset = dicom_of(DEEP, 12)
    if not little:
        dataset.PixelData = DEEP.astype(">u2").tobytes()
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRBigEndian
    dataset.save_as(tmp_path / "whole.dcm", enforce_file_format=True)
    assert np.array_equal(read_pixels(tmp_path / "whole.dcm"), DEEP)
    del dataset.file_meta
    dataset.save_as(tmp_path / "bare.dcm", implicit_vr=False, little_endian=little)
    assert (tmp_path / "bare.dcm").read_bytes()[128:132] != b"DICM"
    assert np.array_equal(read_pixels(tmp_path / "bare.dcm"), DEEP)


def test_dicom_is_known_by_content_or_by_suffix(tmp_path):
    whole = write_dicom(tmp_path / "1.2.840.10008.5", DEEP, 12)
    assert is_dicom(whole)
    assert looks_like_radiograph(whole)
    assert np.array_equal(read_pixels(whole), DEEP)
    (tmp_path / "words.DCM").write_text("no picture at all, but a name that says so")
    assert is_dicom(tmp_path / "words.DCM")
    (tmp_path / "notes.txt").write_text("no picture")
    Image.fromarray(radiograph(0)).save(tmp_path / "a.png")
    for name in ("notes.txt", "a.png", "absent.dcm"):
        assert not is_dicom(tmp_path / name)
    assert not looks_like_radiograph(tmp_path / "notes.txt")
    assert not looks_like_radiograph(whole.rename(tmp_path / "DICOMDIR"))
    assert "words.DCM" in refusal(tmp_path / "words.DCM")
    assert "no such file" in refusal(tmp_path / "absent.dcm")


def test_a_mask_may_be_dicom(tmp_path):
    mask = DEEP > 1500
    assert np.array_equal(read_mask(write_dicom(tmp_path / "m.dcm", mask.astype(np.uint8))), mask)


@pytest.mark.parametrize("modality", ["CR", "DX", "RG", "DX ", "", None])
def test_radiographs_and_files_that_do_not_tell_are_read(tmp_path, modality):
    assert np.array_equal(read_pixels(write_dicom(tmp_path / "x.dcm", DEEP, 12, Modality=modality)), DEEP)


@pytest.mark.parametrize("modality", ["CT", "MR", "US", "MG", "OT", "SR", "SEG"])
def test_other_modalities_are_refused(tmp_path, modality):
    assert f"modality {modality} is no radiograph; expected CR, DX or RG" in changed(tmp_path, Modality=modality)


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"NumberOfFrames": 3}, "holds 3 frames"),
        ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, "'RGB' with 3 samples a pixel is colour"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "'PALETTE COLOR'"),
        ({"PhotometricInterpretation": None}, "photometric interpretation ''"),
        ({"Rows": None}, "holds no pixels"),
        ({"Rows": 0}, "Rows 0"),
        ({"Rows": 50}, r"50 x 40 pixels of 16 bits are 4000 bytes, it has 3840"),
        ({"Rows": 47}, r"47 x 40 pixels of 16 bits are 3760 bytes, it has 3840"),
        ({"Columns": 39}, "is truncated, or its header is wrong"),
        ({"BitsStored": 17, "HighBit": 16}, "BitsAllocated 16, BitsStored 17"),
        ({"BitsAllocated": 12}, "BitsAllocated 12"),
        ({"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}, "is truncated, or its header is wrong"),
        ({"HighBit": 15}, "HighBit 15 with BitsStored 12"),
        ({"PixelRepresentation": 7}, "PixelRepresentation 7"),
        ({"Rows": 20000, "Columns": 20000}, "20000 x 20000 are 400 megapixels; at most 100 are read"),
        ({"RescaleSlope": 0, "RescaleIntercept": 0}, "RescaleSlope 0"),
        ({"VOILUTFunction": "CUBIC"}, "VOI LUT function CUBIC is not known; expected LINEAR"),
        ({"WindowCenter": 9000, "WindowWidth": 10}, r"its window \(center 9000, width 10\): its values are 0 to 3440"),
        ({"SOPClassUID": MediaStorageDirectoryStorage}, "is a DICOMDIR"),
    ],
)
def test_headers_that_cannot_be_are_refused_by_name(tmp_path, tags, words):
    assert pytest.RaisesExc(DataError, match=words).matches(DataError(changed(tmp_path, **tags)))


def test_an_unknown_transfer_syntax_and_mpeg_are_named(tmp_path):
    for uid, words in (("1.2.3.4", "1.2.3.4 is not known"), ("1.2.840.10008.1.2.4.102", "MPEG-4")):
        dataset = dicom_of(DEEP, 12)
        dataset.file_meta.TransferSyntaxUID = uid
        dataset.PixelData = encapsulate([b"\0" * 100])
        dataset["PixelData"].VR = "OB"
        dataset.save_as(tmp_path / "x.dcm", implicit_vr=False, little_endian=True, enforce_file_format=True)
        assert words in refusal(tmp_path / "x.dcm")


def test_lossy_jpeg_of_12_bits_says_what_else_works(tmp_path):
    dataset = pydicom.dcmread(pydicom.data.get_testdata_file("JPGExtended.dcm", download=False))
    assert dataset.file_meta.TransferSyntaxUID == JPEGExtended12Bit
    dataset.Modality = "CR"
    dataset.save_as(tmp_path / "x.dcm")
    assert "12 bits) are damaged, or of a kind that no decoder here takes; if another program" in refusal(
        tmp_path / "x.dcm"
    )


@pytest.mark.parametrize("name", ["plain", *SYNTAXES])
def test_a_file_cut_anywhere_is_refused_and_never_half_black(tmp_path, name):
    path = write_dicom(tmp_path / "x.dcm", np.random.default_rng(0).integers(0, 256, (40, 41)).astype(np.uint8))
    if name != "plain":
        compress(path, path, name)
    whole, pixels = path.read_bytes(), read_pixels(path)
    for length in np.linspace(0, len(whole) - 1, 60).astype(int):
        path.write_bytes(whole[:length])
        found = attempt(path)
        assert found is None or np.array_equal(found, pixels), f"{length} of {len(whole)} bytes gave another picture"


@pytest.mark.parametrize("name", SYNTAXES[1:])
@pytest.mark.parametrize("sides", [(2, 1), (1, 2), (0.5, 1), (1, 0.5)])
def test_a_compressed_picture_of_another_size_is_refused_before_it_is_decoded(tmp_path, name, sides):
    # GDCM ends the process at some of these.
    path = compress(write_dicom(tmp_path / "plain.dcm", radiograph(0, 64, 48)), tmp_path / "x.dcm", name)
    dataset = pydicom.dcmread(path)
    dataset.Rows, dataset.Columns = int(64 * sides[0]), int(48 * sides[1])
    dataset.save_as(path)
    kept = "its run lengths make 3072" if name == "rle" else "not that of its picture (64 x 48, 8 bits"  # 64 x 48 bytes
    assert kept in refusal(path)


def test_a_scan_behind_broken_markers_is_refused_before_it_is_decoded(tmp_path):
    # Here too GDCM ends the process: the marker of the Huffman tables is no marker.
    path = compress(write_dicom(tmp_path / "x.dcm", DEEP, 16), tmp_path / "x.dcm", "jpeg_lossless")
    dataset = pydicom.dcmread(path)
    assert dataset.file_meta.TransferSyntaxUID == JPEGLosslessSV1
    stream = bytearray(next(generate_frames(dataset.PixelData, number_of_frames=1)))
    stream[stream.index(b"\xff\xc4")] = 0xD7
    dataset.PixelData = encapsulate([bytes(stream)])
    dataset.save_as(path)
    assert "or a damaged one" in refusal(path)


def test_uncompressed_pixels_that_claim_to_be_compressed(tmp_path):
    dataset = dicom_of(DEEP, 12)
    dataset.file_meta.TransferSyntaxUID = JPEG2000
    dataset.PixelData = encapsulate([DEEP.tobytes()])
    dataset["PixelData"].VR = "OB"
    dataset.save_as(tmp_path / "x.dcm", enforce_file_format=True)
    assert "holds no JPEG 2000 Image Compression stream" in refusal(tmp_path / "x.dcm")


def test_damaged_files_raise_nothing_but_data_errors(tmp_path):
    rng = np.random.default_rng(0)
    plain = write_dicom(tmp_path / "plain.dcm", DEEP, 12)
    outcomes = {"read": 0, "refused": 0}
    for name in ("plain", "rle", "jpeg_2000"):
        path = plain if name == "plain" else compress(plain, tmp_path / f"{name}.dcm", name)
        whole = np.frombuffer(path.read_bytes(), dtype=np.uint8)
        for _ in range(100):
            damaged = whole.copy()
            damaged[rng.integers(132, len(whole), 5)] = rng.integers(0, 256, 5)
            path.write_bytes(damaged.tobytes())
            outcomes["refused" if attempt(path) is None else "read"] += 1
    assert min(outcomes.values()) > 20, outcomes


def test_encrypted_attributes_without_pixels_are_called_encrypted(tmp_path):
    dataset = dicom_of(DEEP, 12)
    for name in ("PixelData", "Rows", "Columns"):
        delattr(dataset, name)
    item = pydicom.Dataset()
    item.EncryptedContentTransferSyntaxUID, item.EncryptedContent = "1.2.840.10008.1.2.1", b"secret  "
    dataset.EncryptedAttributesSequence = [item]
    dataset.save_as(tmp_path / "x.dcm", enforce_file_format=True)
    assert "is encrypted" in refusal(tmp_path / "x.dcm")
    noise = np.random.default_rng(0).integers(0, 256, 4000, dtype=np.uint8).tobytes()
    (tmp_path / "y.dcm").write_bytes(b"\0" * 128 + b"DICM" + noise)
    refusal(tmp_path / "y.dcm")


def test_a_file_far_too_large_is_refused_without_reading_its_pixels(tmp_path):
    path = write_dicom(tmp_path / "x.dcm", DEEP, 12, Rows=20000, Columns=20000)
    os.truncate(path, 800_000_000)  # sparse: it takes no room
    tracemalloc.start()
    assert "400 megapixels" in refusal(path)
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()


def test_pydicom_is_quiet_where_a_value_is_odd(tmp_path, capfd):
    path = write_dicom(tmp_path / "x.dcm", DEEP, 12, PatientAge="042Y")
    path.write_bytes(path.read_bytes().replace(b"042Y", b"42 y"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_radiograph(path)
    assert capfd.readouterr() == ("", "")


def deflated(path, before=b"", behind=b"", **tags):
    """A deflated file whose dataset has bytes more before and behind its pixels."""
    dataset = dicom_of(DEEP, 12, **tags)
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    if before:
        dataset.add_new(0x00091001, "OB", before)
    dataset.PixelData += behind
    dataset.save_as(path, implicit_vr=False, little_endian=True, enforce_file_format=True)
    return path


@pytest.mark.parametrize("name", ["x.dcm", "x"])
def test_a_deflated_file_is_inflated_to_what_its_header_announces(tmp_path, name):
    path = deflated(tmp_path / name)
    assert np.array_equal(read_pixels(path), DEEP)
    assert np.array_equal(read_pixels(deflated(path, before=b"\0" * 10_000_000)), DEEP)
    assert dicom_facts(path).modality == "CR"
    tracemalloc.start()
    for bomb in ({"before": b"\0" * 100_000_000}, {"behind": b"\0" * 100_000_000}):
        deflated(path, **bomb)
        assert path.stat().st_size < 200_000
        tracemalloc.reset_peak()
        kept = tracemalloc.get_traced_memory()[0]
        assert "is deflated and inflates to more than 167" in refusal(path)  # 16 MiB and what the pixels take
        if "before" in bomb:
            with pytest.raises(DataError, match="inflates to more than 16777216 bytes"):
                dicom_facts(path)
        else:
            assert dicom_facts(path).modality == "CR"
        assert tracemalloc.get_traced_memory()[1] - kept < 60e6
    tracemalloc.stop()


def test_a_deflated_file_without_preamble_is_bounded_too(tmp_path):
    path = deflated(tmp_path / "x.dcm", behind=b"\0" * 100_000_000)
    path.write_bytes(path.read_bytes()[132:])
    assert "inflates to more than" in refusal(path)
