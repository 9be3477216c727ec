"""Search of a folder for radiographs, with the reason for every other file."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pneumo_ad.data.readers.radiograph import SUFFIXES, looks_like_radiograph
from pneumo_ad.data.sources.walk import Entry, State, is_hidden, walk
from pneumo_ad.errors import DataError, did_you_mean, printable
from pneumo_ad.prediction.written import FOLDERS, STORY, digest_of, read_list, read_predict_json

log = logging.getLogger(__name__)

Kind = Literal["radiograph", "unreadable", "ignored"]


@dataclass(frozen=True)
class File:
    r"""A file of the input.

    Attributes:
        name: Path below the folder, with `/`, `printable`: bytes that are not text are escaped, for example `\udcff`.
        path: Path to open.
        kind: `radiograph`, judged without decoding; else `unreadable` or `ignored`.
        reason: Reason why the file is no radiograph.
        stamp: Size in bytes and time of the last change (ns); a file with the same stamp is taken as unchanged.
    """

    name: str
    path: Path
    kind: Kind = "radiograph"
    reason: str = ""
    stamp: tuple[int, int] = (0, 0)


def find_files(source: Path, leave_out: Path, key: str = "input") -> list[File]:
    """Find every file below a folder (`walk`), sorted by name; for a file, return that file.

    Args:
        source: Folder or file.
        leave_out: Folder within `source` to skip, so that output is not read as input.
        key: Option that names `source`, for messages.

    Raises:
        DataError: `source` is missing, or holds no radiograph; the message lists its contents.
    """
    if not source.exists():
        beside = [str(source.parent / one.name) for one in source.parent.iterdir()] if source.parent.is_dir() else []
        raise DataError(f"{key}={source}: no such file or folder{did_you_mean(str(source), beside)}")
    if source.is_file():
        hidden: tuple[State, str] = ("hidden", "hidden") if is_hidden(source.name) else ("file", "")
        entries = [Entry(source, printable(source.name), *hidden)]
    elif source.is_dir():
        entries = walk(source, leave_out=leave_out)
    else:
        raise DataError(f"{key}={source} is no regular file; expected a folder or a file")
    written = _written(entries)
    files = sorted((_looked_at(entry, entry.path in written) for entry in entries), key=lambda file: file.name)
    if not any(file.kind != "ignored" for file in files):
        held = Counter(file.path.suffix.lower() or "without suffix" for file in files)
        words = ", ".join(f"{count} {suffix}" for suffix, count in held.most_common(8)) or "nothing"
        raise DataError(
            f"{key}={source}: no image found; it holds {words}. Expected {', '.join(sorted(SUFFIXES))} or DICOM"
        )
    return files


def named(names: Sequence[str], most: int = 5) -> str:
    """Join the first few names, for a message.

    >>> named(["a", "b", "c"], most=2)
    'a, b, ...'
    """
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def _written(entries: Sequence[Entry]) -> set[Path]:
    """Find pictures of earlier predictions: listed in their output folder, with an unchanged digest."""
    files = [entry.path for entry in entries if entry.state == "file"]
    tops = {path.parent for path in files if path.name == STORY and read_predict_json(path.parent) is not None}
    pictures: dict[Path, dict[str, Path]] = {top: {} for top in tops}
    for path in files if tops else ():
        for top in path.parents:
            if top in tops:
                name = path.relative_to(top).as_posix()
                if name.partition("/")[0] in FOLDERS:
                    pictures[top][printable(name)] = path
                break
    unchanged = set[Path]()
    for top, named in sorted(pictures.items()):
        listed = read_list(top, set(named))
        intact = {path for name, path in named.items() if name in listed and digest_of(path) in listed[name]}
        others = sorted(path for path in set(named.values()) - intact if looks_like_radiograph(path))
        if others:
            log.warning(
                "%s: %d images below %s/ are not those that predict lists there in written.txt, and are taken for "
                "input, for example %s; where an earlier version wrote them, its command writes the list anew",
                *(top, len(others), "/, ".join(FOLDERS), others[0].relative_to(top)),
            )
        unchanged |= intact
    return unchanged


def _looked_at(entry: Entry, written: bool) -> File:
    name, path = entry.name, entry.path
    if written:
        return File(name, path, "ignored", "written by predict")
    if entry.state in ("broken", "unlisted"):
        return File(name + "/" * (entry.state == "unlisted"), path, "unreadable", entry.reason)
    if entry.state != "file":
        return File(name, path, "ignored", entry.reason)
    if path.name.upper() == "DICOMDIR":
        return File(name, path, "ignored", "an index of DICOM files")
    try:
        with path.open("rb"):  # a file that cannot be opened is unreadable, not ignored, whatever its name
            stat = path.stat()
        if looks_like_radiograph(path):
            return File(name, path, stamp=(stat.st_size, stat.st_mtime_ns))
    except OSError as reason:
        return File(name, path, "unreadable", f"cannot be opened ({reason.strerror})")
    return File(
        name, path, "ignored", f"no image by its suffix ({printable(path.suffix) or 'none'}), and no DICOM file"
    )
