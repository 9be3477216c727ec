"""Sizes and digests of the files of a store, computed while they are decoded, kept with store and run.

They are a table with a row per file: `image` (its radiograph), `kind` (one of `KINDS`), `bytes` and `sha256`. Boxes
count as a file that holds their text in the table of radiographs.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from pneumo_ad.errors import DamagedError, DataError
from pneumo_ad.saved import read_table

FILE = "files.csv"
KINDS = {"image": "path", "lung": "lung", "opacity": "opacity", "boxes": "boxes"}  # kind -> column of the table
_COLUMNS = ["image", "kind", "bytes", "sha256"]
_MOST = 2**28  # most bytes of such a table: two million rows


def contents_of(entry: Mapping[str, str]) -> list[dict[str, object]]:
    """Compute size and digest of the files of one radiograph, a row each.

    Args:
        entry: `image`, `path`, `lung`, `opacity` and `boxes` of the radiograph, "" for none.

    Raises:
        DataError: A file that cannot be read.

    >>> contents_of({"image": "a", "path": "", "lung": "", "opacity": "", "boxes": "[]"})[0]["sha256"][:8]
    '4f53cda1'
    """
    rows: list[dict[str, object]] = []
    for kind, column in KINDS.items():
        if not entry[column]:
            continue
        boxes = io.BytesIO(entry[column].encode()) if kind == "boxes" else None
        try:
            with boxes or open(entry[column], "rb", buffering=0) as file:  # noqa: PTH123 - many: a `Path` takes longer
                digest, size = hashlib.file_digest(file, "sha256"), file.seek(0, os.SEEK_END)
        except OSError as reason:
            raise DataError(f"{entry[column]}: cannot be read ({reason.strerror})") from reason
        rows.append({"image": entry["image"], "kind": kind, "bytes": size, "sha256": digest.hexdigest()})
    return rows


def as_table(rows: list[dict[str, object]]) -> pd.DataFrame:
    """Convert rows of `contents_of` to a table of text, as `read_contents` returns it."""
    return pd.DataFrame(rows, columns=_COLUMNS).astype(str)


def read_contents(file: Path) -> pd.DataFrame:
    """Read a table of contents, every cell as text.

    Raises:
        DamagedError: It is no such table.
    """
    table = read_table(file, dict.fromkeys(_COLUMNS, str), _MOST)
    if list(table.columns) != _COLUMNS or table.duplicated(["image", "kind"]).any():
        raise DamagedError(f"{file}: expected the columns {', '.join(_COLUMNS)}, and a row for each file")
    return table


def changed_files(before: pd.DataFrame, now: pd.DataFrame) -> dict[str, list[str]]:
    """Find radiographs in both tables whose files have changed, with the kinds of those files.

    Args:
        before: Earlier table of sizes and digests.
        now: Present table of sizes and digests.

    >>> one = as_table([{"image": "a", "kind": "image", "bytes": 1, "sha256": "x"}])
    >>> changed_files(one, one), changed_files(one, one.assign(sha256="y"))
    ({}, {'a': ['image']})
    """
    both = set(before["image"]) & set(now["image"])
    then, today = (table[table["image"].isin(both)].set_index(["image", "kind"])["sha256"] for table in (before, now))
    then, today = then.align(today, join="outer", fill_value="")
    changed: dict[str, list[str]] = {}
    for image, kind in then.index[then != today]:
        changed.setdefault(image, []).append(kind)
    return changed
