"""Reading of csv files about images as text, and matching of their names with the images of a folder."""

from __future__ import annotations

import difflib
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from csv import Error as CsvError
from csv import reader
from io import StringIO
from pathlib import Path, PurePath

import pandas as pd

from pneumo_ad.data.words import first_few
from pneumo_ad.errors import DataError


def read_listing(
    csv: str | Path,
    columns: Iterable[str] = ("image",),
    known: Iterable[str] = (),
    renamed: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Read every cell of a csv as text; a blank cell is "". The row of index i is line i + 2 of the file.

    The file is UTF-8, with or without a byte order mark. Its delimiter is the comma, semicolon or tab that splits the
    header into the required columns. Columns without a name, as row numbers often are, are left out.

    Args:
        csv: File with a header.
        columns: Required columns, in upper or lower case.
        known: Optional columns, in upper or lower case.
        renamed: Alternative name of a column -> our name; used if the column with our name is missing.

    Raises:
        DataError: It cannot be read, lacks a column (says which it has), has a column twice, or a row with more or
            fewer cells than the header; names the line.
    """
    columns, renamed = list(columns), dict(renamed or {})
    text = _text_of(csv)
    ours = {name.lower(): name for name in (*columns, *known, *renamed)}
    for delimiter in ",;\t":
        header = [ours.get(name.lower(), name) for name in _header(text, delimiter)]
        header = [renamed[name] if renamed.get(name, name) not in header else name for name in header]
        if set(columns) <= set(header):
            break
    else:
        header = _header(text, ",")
        absent = next((column for column in columns if column not in header), columns[0])
        raise DataError(f"{csv}: expected a column {absent!r}, found {header}")
    if twice := [name for name, count in Counter(filter(None, header)).items() if count > 1]:
        raise DataError(f"{csv}: {len(twice)} columns are there twice: {twice}; leave one of each")
    lines, rows = _rows_of(csv, text, delimiter, len(header))
    listed = pd.DataFrame(rows, index=pd.Index(lines) - 2, columns=header, dtype=str)
    return listed.drop(columns="", errors="ignore")


def _header(text: str, delimiter: str) -> list[str]:
    """Split the first line that is not blank."""
    lines = reader(StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    return [name.strip() for name in next(filter(None, lines), [])]


def _text_of(csv: str | Path) -> str:
    """Read the text of a csv file.

    Raises:
        DataError: It cannot be read, is empty or no UTF-8; names the line.
    """
    try:
        if Path(csv).exists() and not Path(csv).is_file():
            raise DataError(f"{csv}: cannot be read as csv (it is no file)")
        held = Path(csv).read_bytes()
        text = held.decode("utf-8-sig")
    except OSError as reason:
        raise DataError(f"{csv}: cannot be read as csv ({reason})") from reason
    except UnicodeDecodeError as reason:
        place = f"byte 0x{held[reason.start]:02x} in line {held.count(10, 0, reason.start) + 1}"
        raise DataError(f"{csv}: cannot be read as csv ({place} is no UTF-8); save it as UTF-8") from None
    if not text.strip() or "\0" in text:
        raise DataError(f"{csv}: cannot be read as csv ({'it is empty' if not text.strip() else 'it is no text'})")
    return text


def _rows_of(csv: str | Path, text: str, delimiter: str, width: int) -> tuple[list[int], list[list[str]]]:
    """Read line numbers and cells of the rows below the header, without blank lines and blank cells beyond the header.

    Raises:
        DataError: A row of another width, or quotes that are not closed; names the line.
    """
    cells = reader(StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    try:
        rows = [(cells.line_num, row) for row in cells if row]
    except CsvError as reason:
        raise DataError(f"{csv}: cannot be read as csv (line {cells.line_num}: {reason})") from None
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

    Args:
        names: Names in a csv, by row (`read_listing`).
        files: Columns `image` and `path`, one row per file of the folder.
        folder: Folder that paths are relative to.
        csv: File to name in the messages.

    Returns:
        Name of the image for each row.

    Raises:
        DataError: Names of no image (how many, the first few and the nearest image), or of more than one.
    """
    meant: dict[str, set[str]] = {}
    root = str(folder / "_")[:-1]
    for path, image in zip(files["path"], files["image"], strict=True):  # as strings: `Path`s of many files are slow
        below = path.removeprefix(root).replace(os.sep, "/")
        within, _, name = below.rpartition("/")
        stem = PurePath(name).stem
        for key in (below, f"{within}/{stem}" if within else stem, name, stem):
            meant.setdefault(key, set()).add(image)
    meant |= {image: {image} for image in files["image"]}  # a full name always means its own image
    blank = [row + 2 for row, name in zip(names.index, names, strict=True) if not Path(name).name]
    if blank:
        raise DataError(f"{csv}: {len(blank)} rows name no image, for example line {blank[0]}")
    matches = {name: meant.get(name) or meant.get(str(Path(name).with_suffix("")), set()) for name in names.unique()}
    absent = [name for name, images in matches.items() if not images]
    if absent:
        near = difflib.get_close_matches(absent[0], list(meant), n=1, cutoff=0)[0]
        raise DataError(
            f"{csv} lists {len(absent)} images that are not in {folder}, for example {first_few(absent)}; the "
            f"nearest to {absent[0]} is {near}"
        )
    double = [name for name, images in matches.items() if len(images) > 1]
    if double:
        raise DataError(
            f"{csv} lists {len(double)} names that more than one image in {folder} has, for example {double[0]}; give "
            "their paths below that folder"
        )
    return [next(iter(matches[name])) for name in names]
