"""What predict wrote: its pictures by name and digest, so that another predict does not take them for radiographs."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from pneumo_ad.files import whole, write_text
from pneumo_ad.printable import printable

STORY = "predict.json"  # tells that a folder was written by predict
LIST = "written.txt"  # a line per picture: sha256 and name below the folder
FOLDERS = ("maps", "overlays")

# Bytes. A story holds counts, not files; a list of 100,000 files has 25 MB.
_MOST_OF_STORY, _MOST_OF_LIST = 2**20, 2**30
_LINE = 8192


def read_story(folder: Path) -> dict[str, Any] | None:
    """What `predict.json` of a folder holds; None where it is none that predict wrote: no regular file, too large, ...

    Args:
        folder: Any folder, of whomever.
    """
    try:
        with _regular(folder / STORY, _MOST_OF_STORY) as file:
            story = json.loads(file.read(_MOST_OF_STORY))
    except (OSError, ValueError, RecursionError):
        return None
    known = isinstance(story, dict) and isinstance(story.get("asked"), dict) and isinstance(story.get("state"), str)
    return story if known else None


def read_list(folder: Path, names: set[str]) -> dict[str, set[str]]:
    """The digests that a folder's list gives for some names; empty where it has no list, or one of no use.

    Args:
        folder: Folder that predict wrote.
        names: Those asked for, below the folder and `printable`: what else the list holds takes no memory.
    """
    found: dict[str, set[str]] = {}
    try:
        with _regular(folder / LIST, _MOST_OF_LIST) as file:
            while line := file.readline(_LINE):
                digest, _, name = line.decode(errors="replace").rstrip("\n").partition("  ")
                if name in names:
                    found.setdefault(name, set()).add(digest)
    except OSError:
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
    with whole(path) as aside:
        aside.write_bytes(picture.getbuffer())
    return hashlib.sha256(picture.getbuffer()).hexdigest()


def digest_of(path: Path) -> str:
    """SHA-256 of a file in hexadecimal digits; empty where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


@contextmanager
def _regular(path: Path, most: int) -> Iterator[BinaryIO]:
    """A file to read that is no link, FIFO or device.

    Raises:
        OSError: It is, or has more than `most` bytes, or cannot be opened.
    """
    if not stat.S_ISREG(path.lstat().st_mode):
        raise OSError(f"{path}: no regular file")
    # Looked at again once it is open: it may be another by now, and a FIFO would wait for somebody to write.
    number = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(number, "rb") as file:
        status = os.fstat(number)
        if not stat.S_ISREG(status.st_mode) or status.st_size > most:
            raise OSError(f"{path}: no regular file of at most {most} bytes")
        yield file
