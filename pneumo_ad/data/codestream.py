"""What a compressed picture says of itself: the first lines of a JPEG, JPEG-LS or JPEG 2000 code stream.

A DICOM header may say otherwise, and a decoder that believes the wrong one may end the whole process.
"""

from __future__ import annotations

from typing import NamedTuple

# Start of frame: every JPEG process but DHT (C4), JPG (C8) and DAC (CC), which share its range (ITU-T T.81, table B.1);
# F7 is that of JPEG-LS (ITU-T T.87).
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
_BARE_MARKERS = frozenset(range(0xD0, 0xD9)) | {0x01}  # markers without a length behind them


class Picture(NamedTuple):
    """Height and width in pixels, bits of a sample, and samples of a pixel."""

    height: int
    width: int
    bits: int
    samples: int


def describe(stream: bytes) -> Picture | None:
    """The size of the picture in a code stream; None where it is none of those known here, or cut before it is told.

    >>> describe(bytes.fromhex("ffd8 ffe0 0004 0000 ffc0 000b 08 0060 0050 01 00 11 00"))
    Picture(height=96, width=80, bits=8, samples=1)
    """
    if stream[:4] == b"\xff\x4f\xff\x51":
        return _jpeg2000(stream)
    return _jpeg(stream) if stream[:2] == b"\xff\xd8" else None


def _jpeg(stream: bytes) -> Picture | None:
    place = 2
    while place + 10 <= len(stream) and stream[place] == 0xFF:
        marker = stream[place + 1]
        if marker == 0xFF:  # fill byte
            place += 1
        elif marker in _BARE_MARKERS:
            place += 2
        elif marker in _FRAME_MARKERS:
            bits, height, width, samples = (stream[place + i : place + j] for i, j in ((4, 5), (5, 7), (7, 9), (9, 10)))
            return Picture(*(int.from_bytes(part) for part in (height, width, bits, samples)))
        else:
            place += 2 + int.from_bytes(stream[place + 2 : place + 4])
    return None


def _jpeg2000(stream: bytes) -> Picture | None:
    """SIZ: ITU-T T.800, A.5.1."""
    if len(stream) < 43:
        return None
    right, bottom, left, top = (int.from_bytes(stream[place : place + 4]) for place in range(8, 24, 4))
    return Picture(bottom - top, right - left, (stream[42] & 0x7F) + 1, int.from_bytes(stream[40:42]))
