"""Selection of the picture among the pages of a TIFF, and interpretation of its samples.

Pillow decodes the pixels. It trusts tags that contradict the file, and misreads some variants of the format:
`tiff_checks` accepts only variants that the tests compared with another reader.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from pneumo_ad.data.readers.limits import ONE
from pneumo_ad.data.readers.tiff_checks import TAGS, Tags, check_segments, check_tags
from pneumo_ad.errors import DataError

_MOST_PAGES = 64  # a file has a handful of thumbnails
_MOST_TAGS = 1024  # a page has a dozen or two
_MOST_NUMBERS = 2**20  # values of a tag; the longest have a value for each strip
_PLACES = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}  # integer types of TIFF -> formats of `struct`
_DESCRIPTION = 270
# ImageDescription of a stack in one page, as ImageJ writes above 4 GB, and tifffile with `truncate`.
_STACK = re.compile(rb'\AImageJ=.*?\nimages=(?!1\b)\d|\A\{"shape": .*"truncated": true', re.DOTALL)


@dataclass(frozen=True)
class TiffPage:
    """Page of a TIFF.

    Attributes:
        number: Number in the chain of pages, from 0; -1 for a page outside the chain (SubIFDs).
        order: Byte order: "<" little-endian, ">" big-endian.
        tags: Tags of the page.
        description: ImageDescription, its first 4 kB.
    """

    number: int
    order: str
    tags: Tags
    description: bytes

    def __str__(self) -> str:
        return f"{'little' if self.order == '<' else 'big'}-endian, {self.tags}"

    @property
    def is_thumbnail(self) -> bool:
        """Whether the tags mark the page as a smaller version of another."""
        return bool(self.tags.first("NewSubfileType") & 1) or self.tags.first("SubfileType") == 2


def find_page(path: str | Path, file: BinaryIO) -> TiffPage | None:
    """Find the only page of a file that is no thumbnail, and check its tags.

    A transparency mask (NewSubfileType 4) counts as a page: ignoring it would show the pixels that it hides.

    Args:
        path: File to name in the messages.
        file: Open file; its position afterwards is undefined.

    Returns:
        Page; None if the file is no TIFF.

    Raises:
        DataError: No picture or more than one; tags that contradict each other or the file, or have unsupported values.
            Names the file, and the tag with its value.
    """
    file.seek(0)
    head = file.read(4)
    if head not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return None
    size = file.seek(0, 2)
    try:
        pages = _Reader(path, file, size, "<" if head[:1] == b"I" else ">", "Q" if b"+" in head else "I").pages()
    except struct.error:
        raise DataError(f"{path}: is truncated, or damaged: tags of the TIFF lie beyond its end") from None
    pictures = [page for page in pages if not page.is_thumbnail] or pages
    page = pictures[0]
    if len(pictures) > 1:
        kind = "thumbnails (NewSubfileType 1) and nothing else" if page.is_thumbnail else "pages"
        raise DataError(f"{path}: holds {len(pictures)} {kind}; {ONE}")
    if page.number < 0:
        raise DataError(f"{path}: its picture lies in SubIFDs, which are not read; {ONE}")
    if _STACK.match(page.description):
        raise DataError(f"{path}: holds several pictures by its ImageDescription; {ONE}")
    check_tags(path, page.tags)
    check_segments(path, page.tags, size)
    return page


@dataclass(frozen=True)
class _Reader:
    """Reader of the tags of all pages, within limits of time and memory for any content."""

    path: str | Path
    file: BinaryIO
    size: int
    order: str
    offset: str  # format of offsets: "Q" in a BigTIFF, else "I"

    def pages(self) -> list[TiffPage]:
        """Read the pages of the chain, and those of SubIFDs."""
        pages: list[TiffPage] = []
        seen: set[int] = set()
        beside: list[int] = []
        chain = self._numbers(self.offset, 1, struct.calcsize(self.offset))[0]
        while place := chain or (beside.pop() if beside else 0):
            if place in seen:
                raise DataError(f"{self.path}: is damaged: a page of the TIFF leads back to itself")
            if len(seen) == _MOST_PAGES:
                raise DataError(f"{self.path}: holds more than {_MOST_PAGES} pages; {ONE}")
            seen.add(place)
            page, after = self._page(place, len(pages) if chain else -1)
            pages.append(page)
            beside += page.tags.get("SubIFDs", ())
            chain = after if chain else 0
        if not pages:
            raise DataError(f"{self.path}: is a TIFF without a page")
        return pages

    def _page(self, place: int, number: int) -> tuple[TiffPage, int]:
        """Read the page at an offset, and the offset of the next in the chain."""
        count_form = "Q" if self.offset == "Q" else "H"
        (count,) = self._numbers(count_form, 1, place)
        if count > _MOST_TAGS:
            raise DataError(f"{self.path}: is damaged: a page of the TIFF has {count} tags")
        tags, description = Tags(), b""
        room = struct.calcsize(self.offset)
        step = 4 + 2 * room
        place += struct.calcsize("<" + count_form)
        for entry in range(place, place + count * step, step):
            code, kind = self._numbers("H", 2, entry)
            (many,) = self._numbers(self.offset, 1, entry + 4)
            form = _PLACES.get(kind, "B")
            length = many * struct.calcsize("<" + form)
            at = entry + 4 + room if length <= room else self._numbers(self.offset, 1, entry + 4 + room)[0]
            if code == _DESCRIPTION:
                self.file.seek(min(at, self.size))
                description = self.file.read(min(many, 4096))
            elif (name := TAGS.get(code)) is not None:
                if name in tags or kind not in _PLACES or not 1 <= many <= _MOST_NUMBERS or at + length > self.size:
                    raise DataError(f"{self.path}: is truncated, or damaged: {name}, {many} values of type {kind}")
                tags[name] = self._numbers(form, many, at)
        (after,) = self._numbers(self.offset, 1, place + count * step)
        return TiffPage(number, self.order, tags, description), after

    def _numbers(self, form: str, many: int, place: int) -> tuple[int, ...]:
        self.file.seek(min(place, self.size))
        length = many * struct.calcsize("<" + form)
        return struct.unpack(f"{self.order}{many}{form}", self.file.read(length))


def as_meant(pixels: npt.NDArray[Any], page: TiffPage) -> npt.NDArray[Any]:
    """Convert the grey pixels of a page from Pillow's dtype to the file's, with black as the lowest value.

    If white is zero (WhiteIsZero), pixels are inverted: integers are subtracted from the highest value of their type,
    floating-point numbers from 1, or from their maximum if that is above 1. Up to 8 bits, Pillow has already inverted
    them.

    Args:
        pixels: (H, W) grey values, as Pillow decodes them.
        page: Page of the pixels.

    Returns:
        (H, W): uint8, int8, int16, uint16, int32, uint32 or float32.
    """
    bits, form = page.tags.first("BitsPerSample"), page.tags.first("SampleFormat")
    if bits in (8, 16, 32) and (bits, form) != (16, 1):
        pixels = pixels.astype(f"{'uif'[form - 1]}{bits // 8}", copy=False)  # Pillow has no mode for some types
        if page.order == ">" and bits > 8 and page.tags.first("Compression") != 1:
            pixels = pixels.byteswap()  # Pillow mistakes libtiff's native byte order for the file's
    if page.tags.first("PhotometricInterpretation") != 0 or bits <= 8:
        return pixels
    return np.iinfo(pixels.dtype).max - pixels if form == 1 else np.maximum(pixels.max(), 1) - pixels
