"""Csv files that speak of images: read as text, and their names brought to the images of a folder."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from pathlib import Path, PurePath

import pandas as pd

from pneumo_ad.errors import DataError


def read_listing(
    csv: str | Path, columns: Iterable[str] = ("image",), renamed: dict[str, str] | None = None
) -> pd.DataFrame:
    """Every cell of a csv as text; a blank cell is "".

    Args:
        csv: File with a header.
        columns: Names it must have.
        renamed: Other names that columns may come under, to ours; used where ours is not there.

    Raises:
        DataError: It cannot be read, or lacks a column; says which it has.
    """
    try:
        listed = pd.read_csv(csv, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as reason:
        raise DataError(f"{csv}: cannot be read as csv ({reason})") from reason
    listed.columns = listed.columns.str.strip()
    listed = listed.rename(columns={old: new for old, new in (renamed or {}).items() if new not in listed.columns})
    for column in columns:
        if column not in listed.columns:
            raise DataError(f"{csv}: expected a column {column!r}, found {list(listed.columns)}")
    return listed


def match_names(names: pd.Series, files: pd.DataFrame, folder: Path, csv: str | Path) -> list[str]:
    """The image that each name means: its path below the folder, its file name or its stem.

    Args:
        names: As a csv has them.
        files: Columns `image` and `path`, one row per file of the folder.
        folder: What paths are relative to.
        csv: For the messages.

    Raises:
        DataError: Names of no image (how many, the first few and the nearest name there is), or of more than one.
    """
    meant: dict[str, set[str]] = {}
    root = str(folder / "_")[:-1]
    for path, image in zip(files["path"], files["image"], strict=True):  # strings: many `Path`s take long
        below = path.removeprefix(root).replace(os.sep, "/")
        within, _, name = below.rpartition("/")
        stem = PurePath(name).stem
        for key in (below, f"{within}/{stem}" if within else stem, name, stem):
            meant.setdefault(key, set()).add(image)
    meant |= {image: {image} for image in files["image"]}  # a full name means its own image, whatever others are called
    blank = [line for line, name in enumerate(names, 2) if not Path(name).name]
    if blank:
        raise DataError(f"{csv}: {len(blank)} rows name no image, for example line {blank[0]}")
    found = {name: meant.get(name) or meant.get(str(Path(name).with_suffix("")), set()) for name in names.unique()}
    absent = [name for name, images in found.items() if not images]
    if absent:
        near = difflib.get_close_matches(absent[0], list(meant), n=1, cutoff=0)[0]
        shown = ", ".join(absent[:5]) + (", ..." if len(absent) > 5 else "")
        raise DataError(
            f"{csv} lists {len(absent)} images that are not in {folder}, for example {shown}; the nearest to "
            f"{absent[0]} is {near}"
        )
    double = [name for name, images in found.items() if len(images) > 1]
    if double:
        raise DataError(
            f"{csv} lists {len(double)} names that more than one image in {folder} has, for example {double[0]}; give "
            "their paths below that folder"
        )
    return [next(iter(found[name])) for name in names]
