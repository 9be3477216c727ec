"""Reading of csv files about images as text, and matching of their names with the images of a folder."""

from __future__ import annotations

import difflib
import logging
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from csv import Error as CsvError
from csv import reader
from io import StringIO
from pathlib import Path

import pandas as pd

from pneumo_ad.data.sources.paths import stem_of
from pneumo_ad.data.words import first_few
from pneumo_ad.errors import DataError

log = logging.getLogger(__name__)

# Columns that name images in the csv files of others, in lower case without blanks, _ and -.
_IMAGE_COLUMNS = frozenset(
    {"path", "file", "filename", "filepath", "img", "imageid", "imageindex", "imagename", "imagefile", "imagepath"}
)
# First bytes of other files that are called csv.
_OTHERS = {b"PK\3\4": "Excel", b"\xd0\xcf\x11\xe0": "Excel", b"{": "JSON", b"[": "JSON", b"<": "HTML"}


def read_listing(
    csv: str | Path,
    columns: Iterable[str] = ("image",),
    known: Iterable[str] = (),
    renamed: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Read every cell of a csv as text; a blank cell is "". The row of index i is line i + 2 of the file.

    The file is UTF-8, with or without a byte order mark, or UTF-16. Its delimiter is the comma, semicolon, tab or bar
    that splits the header into the required columns. Columns without a name, as row numbers often are, are left out.
    Without a column `image`, the only one of another usual name (`filename`, `Image Index`, ...) is taken for it.

    Args:
        csv: File with a header.
        columns: Required columns, in upper or lower case.
        known: Optional columns, in upper or lower case.
        renamed: Alternative name of a column -> our name; used if the column with our name is missing.

    Raises:
        DataError: It cannot be read, has no header, lacks a column (says which it has), has a column twice, or a row
            with more or fewer cells than the header; names the line.
    """
    columns, renamed = list(columns), dict(renamed or {})
    text = _text_of(csv)
    ours = {name.lower(): name for name in (*columns, *known, *renamed)}
    headers = {delimiter: _header(text, delimiter) for delimiter in ",;\t|"}
    renewed = {delimiter: _renamed(header, columns, ours, renamed) for delimiter, header in headers.items()}
    delimiter = max(renewed, key=lambda each: (set(columns) <= set(renewed[each]), len(renewed[each])))
    header = renewed[delimiter]
    if absent := [column for column in columns if column not in header]:
        raise DataError(f"{csv}: expected a column {absent[0]!r}, {_instead(absent[0], headers[delimiter])}")
    if "image" in columns and _letters(theirs := headers[delimiter][header.index("image")]) in _IMAGE_COLUMNS:
        log.info("%s: its column %r names the images", csv, theirs)
    if twice := [name for name, count in Counter(filter(None, header)).items() if count > 1]:
        raise DataError(f"{csv}: {len(twice)} columns are there twice: {twice}; leave one of each")
    lines, rows = _rows_of(csv, text, delimiter, len(header))
    listed = pd.DataFrame(rows, index=pd.Index(lines) - 2, columns=header, dtype=str)
    return listed.drop(columns="", errors="ignore")


def _header(text: str, delimiter: str) -> list[str]:
    """Split the first line that is not blank."""
    lines = reader(StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    return [name.strip() for name in next(filter(None, lines), [])]


def _letters(name: str) -> str:
    return re.sub(r"[\s_-]", "", name.lower())


def _renamed(header: list[str], columns: list[str], ours: Mapping[str, str], renamed: Mapping[str, str]) -> list[str]:
    """Replace names of a header by ours."""
    header = [ours.get(name.lower(), name) for name in header]
    header = [renamed[name] if renamed.get(name, name) not in header else name for name in header]
    files = [place for place, name in enumerate(header) if _letters(name) in _IMAGE_COLUMNS]
    if len(files) == 1 and "image" in columns and "image" not in header:
        header[files[0]] = "image"
    return header


def _instead(absent: str, header: list[str]) -> str:
    """Describe a header that lacks a column, and what to do."""
    if files := [name for name in header if stem_of(name) != name]:
        return f"found a file ({files[0]}) in the first line: write a header above it, for example image,label"
    near = [repr(name) for name in header if re.search("im(age|g)|file|path|name|id$", name.lower())]
    mend = (
        f"; call the one that names the images 'image' ({' or '.join(near[:3])}?)" if near and absent == "image" else ""
    )
    return f"found {list(filter(None, header))}{mend}"


def _text_of(csv: str | Path) -> str:
    """Read the text of a csv file.

    Raises:
        DataError: It cannot be read, is empty, no text of a known encoding, or of another format; names the line.
    """
    try:
        if Path(csv).exists() and not Path(csv).is_file():
            raise DataError(f"{csv}: cannot be read as csv (it is no file)")
        held = Path(csv).read_bytes()
        if other := [what for mark, what in _OTHERS.items() if held.startswith(mark)]:
            raise DataError(f"{csv}: cannot be read as csv (it is {other[0]}); save it as csv in UTF-8")
        # Without its mark, UTF-16 has a zero beside the first letter.
        unmarked = {0: "utf-16-be", 1: "utf-16-le"}.get(held[:2].find(b"\0"), "utf-8-sig")
        text = held.decode("utf-16" if held[:2] in (b"\xff\xfe", b"\xfe\xff") else unmarked)
    except OSError as reason:
        raise DataError(f"{csv}: cannot be read as csv ({reason})") from reason
    except UnicodeDecodeError as reason:
        place = f"byte 0x{held[reason.start]:02x} in line {held.count(10, 0, reason.start) + 1}"
        raise DataError(f"{csv}: cannot be read as csv ({place} is no UTF-8); save it as UTF-8") from None
    if not text.strip() or "\0" in text:
        zero = f"it is no text: NUL in line {text.count(chr(10), 0, text.find(chr(0))) + 1}"
        raise DataError(f"{csv}: cannot be read as csv ({zero if text.strip() else 'it is empty'})")
    return re.sub(r'\A"?sep=."?(?=[\r\n])', "", text)  # a line for Excel


def _rows_of(csv: str | Path, text: str, delimiter: str, width: int) -> tuple[list[int], list[list[str]]]:
    """Read line numbers and cells of the rows below the header, without blank lines and blank cells beyond the header.

    Raises:
        DataError: A row of another width, or quotes that are not closed; names the line.
    """
    cells = reader(StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    rows, line = [], 1
    try:
        for row in cells:
            rows += [(line, row)] * bool(row)
            line = cells.line_num + 1
    except CsvError as reason:
        raise DataError(f"{csv}: cannot be read as csv (row that begins in line {line}: {reason})") from None
    odd = [(line, row) for line, row in rows if len(row) < width or any(row[width:])]
    if odd:
        line, row = odd[0]
        raise DataError(
            f"{csv}: {len(odd)} rows have more or fewer cells than the {width} of the header, for example line {line} "
            f"with {len(row)}: {delimiter.join(row)[:80]!r}"
        )
    return [line for line, _ in rows[1:]], [row[:width] for _, row in rows[1:]]


def one_row_each(listed: pd.DataFrame, csv: str | Path) -> None:
    """Check that no image has two rows.

    Args:
        listed: Table from `read_listing`, its `image` matched with the images of the folder (`match_names`).
        csv: File to name in the message.

    Raises:
        DataError: An image has; names it, the lines and the columns in which they differ.
    """
    again = listed[listed["image"].duplicated(keep=False)]
    if len(again):
        first = again[again["image"] == again["image"].iloc[0]]
        columns = [name for name in first.columns if name != "image" and first[name].nunique() > 1]
        differ = [f"{name} ({' or '.join(map(repr, first[name].unique()[:3]))})" for name in columns]
        raise DataError(
            f"{csv}: {again['image'].nunique()} images have more than one row, for example {first['image'].iloc[0]} in "
            f"lines {' and '.join(str(row + 2) for row in first.index[:5])}, "
            f"{'which differ in ' + ', '.join(differ) if differ else 'which are alike'}; keep one row of each"
        )


def match_names(names: pd.Series, files: pd.DataFrame, folder: Path, csv: str | Path) -> list[str]:
    """Match names with images: by path below the folder, file name or stem.

    Names that are none of these, or of several images, are paths from the folder of the csv or from the one above the
    images; or else they are spelt as on another system: case, backslashes, blanks around, form of an umlaut.

    Args:
        names: Names in a csv, by row (`read_listing`), or in another file, by the words for their place in it.
        files: Columns `image` and `path`, one row per file of the folder.
        folder: Folder that paths are relative to.
        csv: File of the names.

    Returns:
        Name of the image for each row.

    Raises:
        DataError: Names of no image (how many, the first few and the nearest image), or of more than one; names lines
            or places.
    """
    meant: dict[str, set[str]] = {}
    root = str(folder / "_")[:-1]
    below_of = dict(zip(files["image"], files["path"], strict=True))  # as strings: `Path`s of many files are slow
    for image, path in below_of.items():
        below_of[image] = below = path.removeprefix(root).replace(os.sep, "/")
        within, _, name = below.rpartition("/")
        stem = stem_of(name)
        for key in (f"{within}/{stem}" if within else stem, name, stem):
            meant.setdefault(key, set()).add(image)
    # A path, and a full name, always mean their own image.
    meant |= {below: {image} for image, below in below_of.items()} | {image: {image} for image in below_of}
    place_of = {name: _place(row) for row, name in names.drop_duplicates().items()}
    blank = [_place(row) for row, name in names.items() if not Path(name.strip()).name]
    if blank:
        raise DataError(f"{csv}: {len(blank)} rows name no image, for example {blank[0]}")
    matches = {name: _looked_up(name, meant) for name in place_of}
    loose: dict[str, set[str]] = {}
    if any(len(images) != 1 for images in matches.values()):
        places = dict(zip(map(os.path.abspath, files["path"]), files["image"], strict=True))
        for key, images in meant.items():
            loose.setdefault(_loose(key), set()).update(images)
        for name in [name for name, images in matches.items() if len(images) != 1]:
            bases = [base / name.strip().replace("\\", "/") for base in (Path(csv).parent, folder.parent)]
            there = {places[path] for path in map(os.path.abspath, bases) if path in places}
            matches[name] = there or matches[name] or _looked_up(_loose(name), loose)
    absent = [name for name, images in matches.items() if not images]
    if absent:
        parts = _loose(absent[0]).split("/")
        tails = (_looked_up("/".join(parts[start:]), loose) for start in range(1, len(parts)))
        (tail,) = next((images for images in tails if len(images) == 1), ("",))
        near = below_of.get(tail) or difflib.get_close_matches(absent[0], list(below_of.values()), n=1, cutoff=0)[0]
        raise DataError(
            f"{csv} lists {len(absent)} images that are not in {folder}, for example "
            f"{first_few(f'{name} ({place_of[name]})' for name in absent)}; the nearest to {absent[0]} is {near} "
            "(expected is a path below that folder, a file name or a stem)"
        )
    double = [name for name, images in matches.items() if len(images) > 1]
    if double:
        those = " and ".join(sorted(below_of[image] for image in matches[double[0]])[:3])
        raise DataError(
            f"{csv} lists {len(double)} names that more than one image in {folder} has, for example {double[0]} "
            f"({place_of[double[0]]}) of {those}; give their paths below that folder"
        )
    return [next(iter(matches[name])) for name in names]


def _place(row: object) -> str:
    """Words for the place of a name: line of a csv by its row, or the words themselves."""
    return f"line {row + 2}" if isinstance(row, int) else str(row)


def _looked_up(name: str, images: Mapping[str, set[str]]) -> set[str]:
    return images.get(name) or images.get(stem_of(name), set())


def _loose(name: str) -> str:
    """Spelling of a path that does not depend on the system."""
    return os.path.normpath(unicodedata.normalize("NFC", name.strip().replace("\\", "/")).casefold())
