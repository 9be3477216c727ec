"""Headers of compressed pixel data: size and depth of JPEG, JPEG-LS and JPEG 2000 streams, length of RLE frames.

A DICOM header may contradict them, and a decoder may then crash the whole process: on fuzzed streams GDCM did so if the
header gave another size, and if the markers before the scan were damaged.
"""

from __future__ import annotations

from typing import NamedTuple

# Start of frame: every JPEG process but DHT (C4), JPG (C8) and DAC (CC), which share its range (ITU-T T.81, table B.1);
# F7 is that of JPEG-LS (ITU-T T.87).
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
_SCAN = 0xDA


class Picture(NamedTuple):
    """Size and depth from the header of a code stream.

    Attributes:
        height: Height in pixels.
        width: Width in pixels.
        bits: Bits of a sample.
        samples: Samples of a pixel; 1 is grey.
    """

    height: int
    width: int
    bits: int
    samples: int


def describe(stream: bytes) -> Picture | None:
    """Read the header of a code stream; None for an unknown format, or a stream cut or damaged before its scan.

    >>> describe(bytes.fromhex("ffd8 ffe0 0004 0000 ffc0 000b 08 0060 0050 01 00 11 00 ffda 0000"))
    Picture(height=96, width=80, bits=8, samples=1)
    """
    if stream[:4] == b"\xff\x4f\xff\x51":
        return _jpeg2000(stream)
    return _jpeg(stream) if stream[:2] == b"\xff\xd8" else None


def _jpeg(stream: bytes) -> Picture | None:
    picture, place = None, 2
    while place + 4 <= len(stream) and stream[place] == 0xFF:
        marker, length = stream[place + 1], int.from_bytes(stream[place + 2 : place + 4])
        if marker == 0xFF:  # fill byte
            place += 1
            continue
        if marker == _SCAN:
            return picture
        if marker in _FRAME_MARKERS:
            ends = ((5, 7), (7, 9), (4, 5), (9, 10))
            picture = Picture(*(int.from_bytes(stream[place + start : place + end]) for start, end in ends))
        place += 2 + length
    return None


def _jpeg2000(stream: bytes) -> Picture | None:
    """Read the SIZ marker segment (ITU-T T.800, A.5.1)."""
    if len(stream) < 43:
        return None
    right, bottom, left, top = (int.from_bytes(stream[place : place + 4]) for place in range(8, 24, 4))
    return Picture(bottom - top, right - left, (stream[42] & 0x7F) + 1, int.from_bytes(stream[40:42]))


def run_length_bytes(frame: bytes) -> int:
    """Compute the decoded length in bytes of an RLE frame (DICOM PS3.5, annex G: PackBits after a table of 16 numbers).

    >>> run_length_bytes(bytes([1, 0, 0, 0, 64, *[0] * 59]) + bytes([2, 7, 8, 9, 0xFD, 5]))
    7
    """
    table = [int.from_bytes(frame[place : place + 4], "little") for place in range(0, 64, 4)]
    starts = table[1 : 1 + min(table[0], 15)]
    total = 0
    for start, end in zip(starts, [*starts[1:], len(frame)], strict=True):
        place = start
        end = min(end, len(frame))
        while place < end:
            head = frame[place]
            if head < 128:  # head + 1 literal bytes follow; the last of an odd segment may be missing
                total += min(head + 1, end - place - 1)
                place += head + 2
            else:
                total += 257 - head if head > 128 else 0
                place += 2 if head > 128 else 1
    return total
