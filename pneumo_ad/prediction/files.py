"""The files below a folder: which of them are radiographs, and why the others are not."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pneumo_ad.data.radiograph import SUFFIXES, looks_like_radiograph
from pneumo_ad.errors import DataError

STORY = "predict.json"  # tells that a folder was written by predict

Kind = Literal["radiograph", "unreadable", "ignored"]


@dataclass(frozen=True)
class File:
    r"""A file that was found.

    Attributes:
        name: Below the folder, with `/`; what is no text (bytes of another encoding) is written `\udcff`.
        path: To open it.
        kind: `radiograph`, as far as can be told without decoding it; else `unreadable` or `ignored`.
        reason: Why it is none.
        stamp: Its bytes and the time of its last change (ns): a file with the same is the same.
    """

    name: str
    path: Path
    kind: Kind = "radiograph"
    reason: str = ""
    stamp: tuple[int, int] = (0, 0)


def find_files(source: Path, leave_out: Path) -> list[File]:
    """Every file of a folder and of those below it, sorted by name; of a file, that file.

    Args:
        source: Folder or file.
        leave_out: A folder within it that is passed over: what is written is not read again.

    Raises:
        DataError: It is not there, or holds no radiograph; says what it does hold.
    """
    if not source.exists():
        raise DataError(f"input={source}: no such file or folder")
    found = [_looked_at(source, source.name)] if source.is_file() else sorted(_walk(source, leave_out), key=_name)
    if not any(file.kind != "ignored" for file in found):
        held = Counter(file.path.suffix.lower() or "without suffix" for file in found)
        words = ", ".join(f"{count} {suffix}" for suffix, count in held.most_common(8)) or "nothing"
        raise DataError(
            f"input={source}: no radiograph found; it holds {words}. Expected {', '.join(sorted(SUFFIXES))} or DICOM"
        )
    return found


def _name(file: File) -> str:
    return file.name


def _walk(source: Path, leave_out: Path) -> list[File]:
    found: list[File] = []

    def cannot_list(reason: OSError) -> None:
        folder = Path(reason.filename)
        found.append(
            File(_name_below(folder, source) + "/", folder, "unreadable", f"cannot be listed ({reason.strerror})")
        )

    for where, folders, names in os.walk(source, onerror=cannot_list):
        here = Path(where)
        for name in list(folders):
            if (here / name).is_symlink():  # a link may lead back to where we came from
                names.append(name)
            if (here / name).resolve() == leave_out.resolve():
                folders.remove(name)
            elif _written_by_predict(here / name):
                folders.remove(name)
                found.append(File(_name_below(here / name, source) + "/", here / name, "ignored", "written by predict"))
        found += [_looked_at(here / name, _name_below(here / name, source)) for name in names]
    return found


def _name_below(path: Path, source: Path) -> str:
    return printable(path.relative_to(source).as_posix())


def printable(words: str) -> str:
    r"""Words with a path in them, as text: bytes of a name that are no UTF-8 are written out.

    >>> print(printable("bad\udcff.png"))
    bad\udcff.png
    """
    return words.encode("utf-8", "backslashreplace").decode()


def _written_by_predict(folder: Path) -> bool:
    """Whether an earlier prediction lies there: its maps and overlays are no radiographs."""
    try:
        return "asked" in json.loads((folder / STORY).read_text())
    except (OSError, ValueError, TypeError):
        return False


def _looked_at(path: Path, name: str) -> File:
    if any(part.startswith(".") for part in name.split("/")):
        return File(name, path, "ignored", "hidden")
    try:
        if path.name.upper() == "DICOMDIR":
            return File(name, path, "ignored", "an index of DICOM files")
        if path.is_dir():
            return File(name, path, "ignored", "a link to a folder is not followed")
        if path.exists() and not path.is_file():
            return File(name, path, "ignored", "no regular file")
        if path.is_symlink() and not path.exists():
            return File(name, path, "unreadable", "a link that leads nowhere")
        with path.open("rb"):  # what cannot be opened is not ignored, whatever its name
            stat = path.stat()
        if looks_like_radiograph(path):
            return File(name, path, stamp=(stat.st_size, stat.st_mtime_ns))
    except OSError as reason:
        return File(name, path, "unreadable", f"cannot be opened ({reason.strerror})")
    return File(name, path, "ignored", f"no image by its suffix ({path.suffix or 'none'}), and no DICOM file")
