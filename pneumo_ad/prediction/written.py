"""List of the pictures of a prediction, by name and digest, so that a later one does not judge them as radiographs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

from pneumo_ad.errors import DamagedError, printable
from pneumo_ad.files import atomic_write, write_text
from pneumo_ad.saved import GIB, MIB, file_digest, opened, read_json

STORY = "predict.json"  # marks an output folder of predict
LIST = "written.txt"  # a line per picture: SHA-256 and name below the folder
CALIBRATION = "calibration.npz"  # scores of the radiographs of calibrate=
FOLDERS = ("maps", "overlays", "dicom")

_LINE = 8192  # most bytes of a line; a list of 100,000 files has 25 MB


def read_predict_json(folder: Path) -> dict[str, Any] | None:
    """Read `predict.json` of a folder; None if it is missing, a link, too large or not from `predict`.

    Args:
        folder: Any folder, not necessarily an output.
    """
    file = folder / STORY
    try:
        return None if file.is_symlink() else read_json(file, {"asked": dict, "state": str}, MIB)
    except DamagedError:
        return None


def read_list(folder: Path, names: set[str]) -> dict[str, set[str]]:
    """Read the digests of some names from a folder's list, and from those of shards at work (`parts/*/`).

    A list that is missing, a link or unreadable counts as empty.

    Args:
        folder: Output folder of predict.
        names: Names relative to the folder, escaped by `printable`; other lines are not kept in memory.
    """
    digests: dict[str, set[str]] = {}
    for place in (folder / LIST, *folder.glob(f"parts/*/{LIST}")):
        if place.is_symlink():
            continue
        found: dict[str, set[str]] = {}
        with suppress(DamagedError), opened(place, GIB) as file:
            while line := file.readline(_LINE):
                digest, _, name = line.decode(errors="replace").rstrip("\n").partition("  ")
                if name in names:
                    found.setdefault(name, set()).add(digest)
            for name, of_name in found.items():
                digests.setdefault(name, set()).update(of_name)
    return digests


def write_list(folder: Path, pictures: Mapping[str, str]) -> None:
    """Write the list, replacing an earlier one.

    Args:
        folder: Output folder of predict.
        pictures: Name relative to the folder -> SHA-256 in hexadecimal digits.
    """
    write_text(folder / LIST, "".join(_lines(pictures)))


def add_to_list(folder: Path, pictures: Mapping[str, str]) -> None:
    """Append lines to the list.

    Args:
        folder: Output folder of predict.
        pictures: Name relative to the folder -> SHA-256 in hexadecimal digits.
    """
    with (folder / LIST).open("a", encoding="utf-8") as file:
        file.writelines(_lines(pictures))


def _lines(pictures: Mapping[str, str]) -> Iterable[str]:
    return (f"{digest}  {printable(name)}\n" for name, digest in pictures.items())


def write_picture(path: Path, picture: BytesIO) -> str:
    """Write a picture atomically.

    Args:
        path: File to write; missing folders are created.
        picture: Content of the file.

    Returns:
        SHA-256 in hexadecimal digits.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as aside:
        aside.write_bytes(picture.getbuffer())
    return hashlib.sha256(picture.getbuffer()).hexdigest()


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits; empty if the file cannot be read."""
    try:
        return file_digest(path)
    except DamagedError:
        return ""
