"""Reading of DICOM files: grey values and the window that the header asks for.

A file is parsed, checked and decoded here; `voi.shown` applies its lookup tables and window. A file that is no
radiograph, or contradicts itself, is refused with its name, if possible from its header alone.
"""

from __future__ import annotations

import io
import logging
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import gdcm
import numpy as np
import numpy.typing as npt
from pydicom import Dataset, dcmread, uid
from pydicom.filereader import _read_file_meta_info, read_preamble  # it inflates whatever follows, however much
from pydicom.pixels import get_decoder

from pneumo_ad.data.readers.dicom_checks import DECOMPRESS, check_header, check_kind, check_length, check_stream
from pneumo_ad.data.readers.dicom_words import without_values
from pneumo_ad.data.readers.quiet import ignore_warnings
from pneumo_ad.data.readers.voi import shown
from pneumo_ad.data.readers.window import Window
from pneumo_ad.errors import DataError

DICOM_SUFFIXES = frozenset({".dcm", ".dicom"})

# Syntaxes with several decoders: Pillow's reports why it refuses, and does not write to the terminal. The others have
# one decoder each.
_PILLOW = frozenset({uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEG2000, uid.JPEG2000Lossless})

# Every DICOM file has one of these.
_ANY = ("SOPClassUID", "Modality", "Rows", "DirectoryRecordSequence")

# Most bytes besides its pixels that a deflated file may inflate to. Headers take some kilobytes, private pictures more.
MOST_BESIDE_PIXELS = 16 * 2**20
_CHUNK = 2**16  # bytes
_PLAIN = b"\0" * 128 + b"DICM\2\0\x10\0UI\x14\0" + uid.ExplicitVRLittleEndian.encode() + b"\0"  # head of a plain file

# Warnings of pydicom and GDCM name no file; the checks here raise errors that do.
logging.getLogger("pydicom").setLevel(logging.CRITICAL)
for _silence in (gdcm.Trace.WarningOff, gdcm.Trace.ErrorOff, gdcm.Trace.DebugOff):
    _silence()


def is_dicom(path: str | Path) -> bool:
    """Whether a file is DICOM by its preamble, or by a name that ends in .dcm or .dicom."""
    try:
        with Path(path).open("rb") as file:
            return file.read(132)[128:] == b"DICM" or Path(path).suffix.lower() in DICOM_SUFFIXES
    except OSError:
        return False


def read_dicom(path: str | Path) -> tuple[npt.NDArray[np.generic], Window]:
    """Read a grey radiograph of one frame, and its window from the header.

    The window is the header's VOI LUT, or the first of its windows (functions LINEAR, LINEAR_EXACT and SIGMOID);
    without one, the full range for 8 bit and percentiles for deeper files (`intensity_window`).

    Args:
        path: DICOM file: uncompressed, deflated, RLE, JPEG (baseline, lossless), JPEG-LS, JPEG 2000 or, if pylibjpeg is
            installed, high-throughput JPEG 2000.

    Returns:
        Grey values, (H, W), and the two of them that become 0 and 1; the first is above the second if high values are
        dark (MONOCHROME1). Grey values are integers as stored, entries of a LUT, or float32 in [0, 1] after a sigmoid.

    Raises:
        DataError: Not DICOM, encrypted, truncated, or damaged; no radiograph (another modality, several frames, colour,
            no pixels); a header that contradicts itself or the pixels; more than `MOST_PIXELS`; no decoder; a window
            that leaves nothing to see. Names the file and the reason.
    """
    header = parse(path)
    with _named(path):
        check_kind(path, header)
        check_header(path, header)
        dataset = parse(path, pixel_bytes=header.Rows * header.Columns * header.BitsAllocated // 8 + 1)
        if "PixelData" not in dataset:
            raise DataError(f"{path}: ends before its pixels, {header.Rows} x {header.Columns} by its header")
        return shown(path, _decode(path, dataset), dataset)


def parse(path: str | Path, pixel_bytes: int = 0, specific_tags: list[str] | None = None) -> Dataset:
    """Parse a file into a dataset of pydicom.

    Args:
        path: DICOM file; without the preamble it must have one of `DICOM_SUFFIXES`.
        pixel_bytes: Size of the uncompressed pixels in bytes, as the header announces it; a deflated file is inflated
            to at most that size plus `MOST_BESIDE_PIXELS`. 0 stops before the pixels.
        specific_tags: Tags to read; None reads all.

    Raises:
        DataError: It cannot be parsed, or inflates to more.
    """
    ignore_warnings(module=r"pydicom\.")  # they name no file; see above
    force = Path(path).suffix.lower() in DICOM_SUFFIXES
    with _named(path), Path(path).open("rb") as file:
        inflated, more = _inflated(file, force, pixel_bytes + MOST_BESIDE_PIXELS)
        if not (more and pixel_bytes):
            source = inflated or file
            dataset = dcmread(source, force=force, stop_before_pixels=not pixel_bytes, specific_tags=specific_tags)
            more = more and not source.read(1)  # unread bytes: it stopped before the limit
        if more:
            raise DataError(
                f"{path}: is deflated and inflates to more than {pixel_bytes + MOST_BESIDE_PIXELS} bytes, the most "
                f"that is read for pixels of {pixel_bytes} bytes and what else it holds; is it damaged?"
            )
    if not any(name in dataset for name in _ANY):  # pydicom parses many files that are no DICOM
        raise DataError(f"{path}: is no DICOM file, whatever its name, or it ends before it says of what")
    return dataset


def _inflated(file: BinaryIO, force: bool, most: int) -> tuple[BinaryIO | None, bool]:
    """Inflate at most `most` bytes of a deflated file (None if it is not), and report whether there are more."""
    read_preamble(file, force)
    syntax = _read_file_meta_info(file).get("TransferSyntaxUID")
    if syntax != uid.DeflatedExplicitVRLittleEndian:
        file.seek(0)
        return None, False
    inflated, stream = io.BytesIO(), zlib.decompressobj(-zlib.MAX_WBITS)
    inflated.write(_PLAIN)
    room, rest = most, file.read(_CHUNK)
    while rest and room and not stream.eof:
        piece = stream.decompress(rest, min(room, _CHUNK))
        room -= inflated.write(piece)
        rest = stream.unconsumed_tail or file.read(_CHUNK)
    if room and not stream.eof:
        raise EOFError("its deflated part is cut")
    inflated.seek(0)
    return inflated, not stream.eof


@contextmanager
def _named(path: str | Path) -> Iterator[None]:
    """Turn any error of pydicom, which damaged files make raise many types, into a `DataError` with the file's name."""
    try:
        yield
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except Exception as reason:
        words = without_values(" ".join(str(reason).split())) or type(reason).__name__
        raise DataError(f"{path}: cannot be read as DICOM; is it damaged or encrypted? ({words})") from reason


def _decode(path: str | Path, dataset: Dataset) -> npt.NDArray[np.generic]:
    """Decode the stored values, (H, W), after a check that pixels and header agree in size."""
    syntax = _transfer_syntax(dataset)
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        name = syntax.name if syntax.is_valid else "(no UID)"
        raise DataError(f"{path}: transfer syntax {name} is not known; {DECOMPRESS}") from None
    if not decoder.is_available:
        missing = "; ".join(decoder.missing_dependencies)
        raise DataError(f"{path}: {syntax.name} has no decoder here ({missing}); install one, or {DECOMPRESS}")
    if syntax.is_encapsulated:
        check_stream(path, dataset, syntax)
    else:
        check_length(path, dataset)
    plugin = "pillow" if syntax in _PILLOW else ""  # "": any that is available
    try:
        return decoder.as_array(dataset, decoding_plugin=plugin)[0]
    except Exception as reason:
        raise DataError(
            f"{path}: its pixels ({syntax.name}, {dataset.BitsStored} bits) are damaged, or of a kind that no decoder "
            f"here takes; {DECOMPRESS}"
        ) from reason


def _transfer_syntax(dataset: Dataset) -> uid.UID:
    if "TransferSyntaxUID" not in dataset.file_meta:  # a file without the preamble: the encoding it was parsed with
        implicit, little = dataset.original_encoding
        explicit = uid.ExplicitVRLittleEndian if little else uid.ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = uid.ImplicitVRLittleEndian if implicit else explicit
    return dataset.file_meta.TransferSyntaxUID
