"""What predict wrote: its pictures by name and digest, so that another predict does not take them for radiographs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from pneumo_ad.errors import DamagedError, printable
from pneumo_ad.files import atomic_write, write_text
from pneumo_ad.saved import GIB, MIB, file_digest, opened, read_json

STORY = "predict.json"  # tells that a folder was written by predict
LIST = "written.txt"  # a line per picture: sha256 and name below the folder
CALIBRATION = "calibration.npz"  # scores of the radiographs of calibrate=
FOLDERS = ("maps", "overlays")

_LINE = 8192  # bytes; a list of 100,000 files has 25 MB


def read_predict_json(folder: Path) -> dict[str, Any] | None:
    """What `predict.json` of a folder holds; None where it is none that predict wrote: no regular file, too large, ...

    Args:
        folder: Any folder, of whomever.
    """
    file = folder / STORY
    try:
        return None if file.is_symlink() else read_json(file, {"asked": dict, "state": str}, MIB)
    except DamagedError:
        return None


def read_list(folder: Path, names: set[str]) -> dict[str, set[str]]:
    """The digests that a folder's list gives for some names; empty where the list is missing, a link or unreadable.

    Args:
        folder: Folder that predict wrote.
        names: Names to look up, below the folder and `printable`; other lines of the list take no memory.
    """
    found: dict[str, set[str]] = {}
    if (folder / LIST).is_symlink():
        return {}
    try:
        with opened(folder / LIST, GIB) as file:
            while line := file.readline(_LINE):
                digest, _, name = line.decode(errors="replace").rstrip("\n").partition("  ")
                if name in names:
                    found.setdefault(name, set()).add(digest)
    except DamagedError:
        return {}
    return found


def write_list(folder: Path, pictures: Mapping[str, str]) -> None:
    """Write the list anew.

    Args:
        folder: Folder that predict writes.
        pictures: Digests by name.
    """
    write_text(folder / LIST, "".join(_lines(pictures)))


def add_to_list(folder: Path, pictures: Mapping[str, str]) -> None:
    """Add lines to a list that is there.

    Args:
        folder: Folder that predict writes.
        pictures: Digests by name.
    """
    with (folder / LIST).open("a", encoding="utf-8") as file:
        file.writelines(_lines(pictures))


def _lines(pictures: Mapping[str, str]) -> Iterable[str]:
    return (f"{digest}  {printable(name)}\n" for name, digest in pictures.items())


def write_picture(path: Path, picture: BytesIO) -> str:
    """Write a picture whole or not at all.

    Args:
        path: Where to write; its folders are made.
        picture: The file as it is to be.

    Returns:
        SHA-256 in hexadecimal digits.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as aside:
        aside.write_bytes(picture.getbuffer())
    return hashlib.sha256(picture.getbuffer()).hexdigest()


def digest_of(path: Path) -> str:
    """SHA-256 of a file in hexadecimal digits; empty where it cannot be read."""
    try:
        return file_digest(path)
    except DamagedError:
        return ""
