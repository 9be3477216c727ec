"""A DICOM file becomes grey values and the window of them that its header asks for.

Here it is parsed, checked and decoded: everything that a radiograph is not, or that contradicts itself, is refused by
name, and from its header alone where that tells. `voi.shown` does the rest.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gdcm
import numpy as np
import numpy.typing as npt
from pydicom import Dataset, dcmread
from pydicom.pixels import get_decoder
from pydicom.uid import (
    JPEG2000,
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
)

from pneumo_ad.data.dicom_checks import DECOMPRESS, check_header, check_kind, check_length, check_stream
from pneumo_ad.data.quiet import ignore_warnings
from pneumo_ad.data.voi import shown
from pneumo_ad.data.window import Window
from pneumo_ad.errors import DataError

DICOM_SUFFIXES = frozenset({".dcm", ".dicom"})

# Of the decoders of these the one that says why it refuses, and does not write to the terminal; the other syntaxes have
# one decoder each.
_PILLOW = frozenset({JPEGBaseline8Bit, JPEGExtended12Bit, JPEG2000, JPEG2000Lossless})

# One of them is in every DICOM file.
_ANY = ("SOPClassUID", "Modality", "Rows", "DirectoryRecordSequence")

# What pydicom and GDCM remark names no file; what matters of it is refused by name here.
logging.getLogger("pydicom").setLevel(logging.CRITICAL)
for _silence in (gdcm.Trace.WarningOff, gdcm.Trace.ErrorOff, gdcm.Trace.DebugOff):
    _silence()


def is_dicom(path: str | Path) -> bool:
    """Whether a file says that it is DICOM: by its content, or by a name that ends in .dcm or .dicom."""
    try:
        with Path(path).open("rb") as file:
            return file.read(132)[128:] == b"DICM" or Path(path).suffix.lower() in DICOM_SUFFIXES
    except OSError:
        return False


def read_dicom(path: str | Path) -> tuple[npt.NDArray[np.generic], Window]:
    """Read a radiograph of one frame, grey, as its header says it is to be shown.

    The window is the header's VOI LUT, or the first of its windows (functions LINEAR, LINEAR_EXACT and SIGMOID); where
    it has none, the full range for 8 bit and percentiles for deeper files (`intensity_window`).

    Args:
        path: Uncompressed, deflated, RLE, JPEG (baseline, lossless), JPEG-LS, JPEG 2000 or, where pylibjpeg is
            installed, high-throughput JPEG 2000.

    Returns:
        (H, W) grey values, and those of them that become 0 and 1; the first is above the second where high values are
        dark (MONOCHROME1). Integers as stored; through a LUT its entries; through a sigmoid float32 in [0, 1].

    Raises:
        DataError: Not DICOM, encrypted, truncated, or damaged; no radiograph (another modality, several frames, colour,
            no pixels); a header that contradicts itself or the pixels; more than `MOST_PIXELS`; no decoder; a window
            that leaves nothing to see. Names the file and the reason.
    """
    header = parse(path, stop_before_pixels=True)
    with _named(path):
        check_kind(path, header)
        check_header(path, header)
    dataset = parse(path)
    with _named(path):
        if "PixelData" not in dataset:
            raise DataError(f"{path}: ends before its pixels, {header.Rows} x {header.Columns} by its header")
        pixels = _decode(path, dataset)
        return shown(path, pixels, dataset)


def parse(path: str | Path, **options: Any) -> Dataset:
    """Pydicom's dataset of a file.

    Args:
        path: The file; without the preamble that DICOM asks for it must have one of `DICOM_SUFFIXES`.
        **options: Of `pydicom.dcmread`.

    Raises:
        DataError: It cannot be parsed.
    """
    ignore_warnings(module=r"pydicom\.")  # remarks without a file's name; see above
    with _named(path):
        dataset = dcmread(path, force=Path(path).suffix.lower() in DICOM_SUFFIXES, **options)
    if not any(name in dataset for name in _ANY):  # other bytes too can be parsed, as something
        raise DataError(f"{path}: is no DICOM file, whatever its name, or it ends before it says of what")
    return dataset


@contextmanager
def _named(path: str | Path) -> Iterator[None]:
    """Whatever pydicom raises, and damaged files make it raise anything, becomes an error that names the file."""
    try:
        yield
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except Exception as reason:
        words = " ".join(str(reason).split()) or type(reason).__name__
        raise DataError(f"{path}: cannot be read as DICOM; is it damaged or encrypted? ({words})") from reason


def _decode(path: str | Path, dataset: Dataset) -> npt.NDArray[np.generic]:
    """(H, W) stored values, after a look whether pixels and header are of the same size."""
    syntax = _transfer_syntax(dataset)
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise DataError(f"{path}: transfer syntax {syntax.name} is not known; {DECOMPRESS}") from None
    if not decoder.is_available:
        missing = "; ".join(decoder.missing_dependencies)
        raise DataError(f"{path}: {syntax.name} has no decoder here ({missing}); install one, or {DECOMPRESS}")
    if syntax.is_encapsulated:
        check_stream(path, dataset, syntax)
    else:
        check_length(path, dataset)
    plugin = "pillow" if syntax in _PILLOW else ""  # "": whichever works
    try:
        return decoder.as_array(dataset, decoding_plugin=plugin)[0]
    except Exception as reason:
        raise DataError(
            f"{path}: its pixels ({syntax.name}, {dataset.BitsStored} bits) are damaged, or of a kind that no decoder "
            f"here takes; {DECOMPRESS}"
        ) from reason


def _transfer_syntax(dataset: Dataset) -> UID:
    if "TransferSyntaxUID" not in dataset.file_meta:  # a file without the preamble: as it could be parsed
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    return dataset.file_meta.TransferSyntaxUID
