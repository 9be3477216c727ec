"""Checks that a DICOM file is a grey radiograph of one frame, and that its header agrees with its pixels.

Each check raises a `DataError` that names the file, what it holds and what was expected.
"""

from __future__ import annotations

from pathlib import Path

from pydicom import Dataset
from pydicom.encaps import generate_frames
from pydicom.uid import UID, MediaStorageDirectoryStorage, RLELossless

from pneumo_ad.data.readers.codestream import describe, run_length_bytes
from pneumo_ad.data.readers.dicom_words import code_of
from pneumo_ad.data.readers.limits import ONE, check_size
from pneumo_ad.errors import DataError

# Computed and digital radiography, and scanned film. Public sets often leave the modality out.
MODALITIES = ("CR", "DX", "RG", "")
DECOMPRESS = (
    "if another program shows it, decompress it first (for example with `gdcmconv --raw IN OUT` or `dcmdjpeg IN OUT`)"
)


def check_kind(path: str | Path, header: Dataset) -> None:
    """Check that a file is a grey radiograph of one frame.

    Args:
        path: File to name in the message.
        header: Header of the file, without the pixels.
    """
    modality = str(header.get("Modality") or "").strip().upper()
    if header.get("SOPClassUID") == MediaStorageDirectoryStorage or "DirectoryRecordSequence" in header:
        raise DataError(f"{path}: is a DICOMDIR, an index of other files; give the files it lists")
    if modality not in MODALITIES:
        raise DataError(
            f"{path}: modality {code_of(modality)} is no radiograph; expected CR, DX or RG. If it shows "
            "one all the same, save it as PNG"
        )
    if "Rows" not in header or "Columns" not in header:
        if "EncryptedAttributesSequence" in header:
            raise DataError(f"{path}: is encrypted; decrypt it where it comes from")
        raise DataError(f"{path}: holds no pixels, or ends before them; expected a DICOM file with one radiograph")
    frames = int(header.get("NumberOfFrames") or 1)
    if frames != 1:
        raise DataError(f"{path}: holds {frames} frames; {ONE}")
    grey, samples = code_of(header.get("PhotometricInterpretation")), int(header.get("SamplesPerPixel") or 1)
    if grey not in ("MONOCHROME1", "MONOCHROME2") or samples != 1:
        raise DataError(
            f"{path}: photometric interpretation {grey!r} with {samples} samples a pixel is colour, or unknown; "
            "expected a grey picture (MONOCHROME1 or MONOCHROME2)"
        )


def check_header(path: str | Path, header: Dataset) -> None:
    """Check that sides and bit depths are valid, and that the pixels are at most `MOST_PIXELS`.

    Args:
        path: File to name in the message.
        header: Header of the file, without the pixels.
    """
    rows, columns, allocated = int(header.Rows), int(header.Columns), int(header.BitsAllocated)
    stored, signed = int(header.BitsStored), int(header.PixelRepresentation)
    high = int(header.get("HighBit", stored - 1))
    if (
        min(rows, columns) < 1
        or allocated not in (1, 8, 16, 32)
        or not 1 <= stored <= allocated
        or signed not in (0, 1)
    ):
        raise DataError(
            f"{path}: has an impossible header: Rows {rows}, Columns {columns}, BitsAllocated {allocated}, BitsStored "
            f"{stored}, PixelRepresentation {signed}"
        )
    if high != stored - 1:
        raise DataError(f"{path}: HighBit {high} with BitsStored {stored} is not read; expected HighBit {stored - 1}")
    check_size(path, rows, columns)


def check_length(path: str | Path, dataset: Dataset) -> None:
    """Check that uncompressed pixels have the length of the header; only zeros may follow, fewer than a row.

    Args:
        path: File to name in the message.
        dataset: Data set of the file, with its pixels.
    """
    row = dataset.Columns * dataset.BitsAllocated
    expected, there = -(-dataset.Rows * row // 8), len(dataset.PixelData)
    if there < expected or (there - expected) * 8 >= max(row, 16) or any(dataset.PixelData[expected:]):
        raise DataError(
            f"{path}: is truncated, or its header is wrong: {dataset.Rows} x {dataset.Columns} pixels of "
            f"{dataset.BitsAllocated} bits are {expected} bytes, it has {there}"
        )


def check_stream(path: str | Path, dataset: Dataset, syntax: UID) -> None:
    """Check that compressed pixels have the size that the header announces.

    Args:
        path: File to name in the message.
        dataset: Data set of the file, with its pixels.
        syntax: Transfer syntax: compression of the pixels.
    """
    rows, columns, allocated = dataset.Rows, dataset.Columns, dataset.BitsAllocated
    frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
    size = f"{rows} x {columns}, {allocated} bits allocated, 1 sample a pixel"
    if syntax == RLELossless:
        # A segment of odd length is padded by one byte.
        expected, there = rows * columns * allocated // 8, run_length_bytes(frame)
        if not expected <= there <= expected + allocated // 8:
            raise DataError(
                f"{path}: is truncated, or its header ({size}) is wrong: that is {expected} bytes, and its run lengths "
                f"make {there}"
            )
        return
    picture = describe(frame)
    if picture is None:
        raise DataError(f"{path}: holds no {syntax.name} stream, or a damaged one; {DECOMPRESS}")
    if (picture.height, picture.width, picture.samples) != (rows, columns, 1) or picture.bits > allocated:
        raise DataError(
            f"{path}: its header ({size}) is not that of its picture ({picture.height} x {picture.width}, "
            f"{picture.bits} bits, {picture.samples})"
        )
