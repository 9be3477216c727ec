"""Listing of the radiographs in a folder."""

from __future__ import annotations

import logging
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path, PurePath

import pandas as pd

from pneumo_ad.data.readers.radiograph import SUFFIXES, looks_like_radiograph
from pneumo_ad.data.sources.walk import Entry, Identity, State, is_hidden, walk
from pneumo_ad.data.words import first_few
from pneumo_ad.errors import DataError, printable

log = logging.getLogger(__name__)

_PASSED: dict[State, str] = {
    "hidden": "hidden files",
    "again": "files or folders with a second name",
    "special": "that are no regular files",
    "broken": "that cannot be opened",
    "loop": "links back to a folder that they lie in",
    "unlisted": "folders that cannot be listed",
}


def list_files(folder: Path, recursive: bool = False) -> pd.DataFrame:
    """List radiographs: `image` (path below the folder, without suffix if all names still differ) and `path`.

    A name is `printable`: characters that a terminal would interpret or a csv cannot hold are escaped.

    Args:
        folder: Existing folder.
        recursive: Whether to search the folders below it.

    Raises:
        DataError: No radiograph; says what there is instead.
    """
    files = _radiographs(folder, recursive, {})
    if not files:
        raise DataError(
            f"{folder}: no image found (looked for {', '.join(sorted(SUFFIXES))}, and DICOM by content); it holds "
            f"{content_of(folder)}"
        )
    names = [stem_of(file.name) for file in files]
    if len(set(names)) < len(names):  # a.png beside a.jpg
        names = [file.name for file in files]
    return pd.DataFrame({"image": names, "path": path_column(file.path for file in files)})


def stem_of(name: str) -> str:
    """Return a file name, or a path, without its suffix; the end of a DICOM UID (1.2.840.10) is no suffix.

    >>> stem_of("a.png"), stem_of("1.2.840.10")
    ('a', '1.2.840.10')
    """
    suffix = PurePath(name).suffix
    return name.removesuffix(suffix) if suffix.lower() in SUFFIXES else name


def path_column(paths: Iterable[Path | str]) -> pd.Series:
    """Convert paths to a column of Python strings: those of pandas cannot hold file names that are no UTF-8.

    Args:
        paths: Path for each row; "" for none.
    """
    return pd.Series([str(path) for path in paths], dtype=object)


def existing_folder(path: str | Path) -> Path:
    """Expand the path of a folder and check that it exists.

    Raises:
        DataError: It does not; names the nearest that does, and its content.
    """
    path = Path(path).expanduser()
    if not path.is_dir():
        near = next(parent for parent in path.parents if parent.is_dir())
        raise DataError(f"{path}: no such folder; the nearest that exists is {near}, which holds {content_of(near)}")
    return path


def topmost(root: Path, holds: Callable[[Path], bool]) -> Path | None:
    """Find the topmost folder of a data set, at most three levels below root: archives have levels, or hold it twice.

    Args:
        root: Existing folder.
        holds: Whether a folder is that of the data set.

    Raises:
        DataError: Several beside each other; names them.
    """
    level = [root]
    for _ in range(4):
        if found := sorted(filter(holds, level)):
            if len(found) > 1:
                raise DataError(f"{root}: holds the data set {len(found)} times, give one: {first_few(found)}")
            if found[0] != root:
                log.info("%s: reads %s", root, found[0])
            return found[0]
        inside = (entry for folder in level for entry in folder.iterdir())
        level = [entry for entry in inside if not is_hidden(entry.name) and entry.is_dir()]
    return None


def images_in(folder: Path, seen: dict[Identity, Path] | None = None) -> list[Path]:
    """List files that look like radiographs, sorted; skipped ones are counted in a warning, with an example per kind.

    Args:
        folder: Existing folder; those below it are not searched.
        seen: Files of other folders, by identity: they are skipped, and those of this folder are added. None keeps
            repeated files: a mask may belong to several images.
    """
    return [file.path for file in _radiographs(folder, False, seen)]


def _radiographs(folder: Path, recursive: bool, seen: dict[Identity, Path] | None) -> list[Entry]:
    files, passed = [], defaultdict[State, list[Entry]](list)
    for entry in walk(folder, recursive, seen=seen):
        if entry.state == "file" or (entry.state == "again" and seen is None):
            if looks_like_radiograph(entry.path):
                files.append(entry)
        elif entry.state in ("unlisted", "loop") or entry.path.is_dir() or _would_be_one(entry.path):
            passed[entry.state].append(entry)
    if passed:
        words = "; ".join(
            f"{len(passed[state])} {what} (for example {passed[state][0].name}"
            + (")" if state == "hidden" else f": {passed[state][0].reason})")
            for state, what in _PASSED.items()
            if state in passed
        )
        warnings.warn(f"{folder}: passed over {words}", stacklevel=3)
    return files


def _would_be_one(path: Path) -> bool:
    """Whether a skipped file has the name or the content of a radiograph."""
    return path.suffix.lower() in SUFFIXES or looks_like_radiograph(path)


def content_of(folder: Path) -> str:
    """Return the first few names in a folder, for messages."""
    try:
        names = sorted(printable(entry.name) + ("/" if entry.is_dir() else "") for entry in folder.iterdir())
    except OSError as reason:
        return f"what cannot be listed ({reason.strerror})"
    return ", ".join(names[:6]) + (f", ... ({len(names)} entries)" if len(names) > 6 else "") if names else "nothing"
