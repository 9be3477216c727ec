"""Everything that lies below a folder, once: what sources and `predict` have in common."""

# ruff: noqa: PTH112, PTH114, PTH116, PTH118, PTH120
# Paths are strings here: a `Path` of each of many files takes long.

from __future__ import annotations

import os
import stat
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pneumo_ad.errors import printable

# Folders that systems make for themselves, beside those whose name begins with a dot; any case.
HIDDEN = frozenset(
    {"__macosx", "@eadir", "#recycle", "#snapshot", "$recycle.bin", "system volume information", "lost+found"}
)

State = Literal["file", "hidden", "again", "special", "broken", "loop", "unlisted"]
Identity = tuple[int, int]  # of a file, whatever it is called: its device and its number there


@dataclass(frozen=True)
class Entry:
    """What was found.

    Attributes:
        path: To open it.
        name: Path below the folder, with `/`, `printable`, and that of no other entry.
        state: `file`, a regular one; a file that is `hidden`, or lies in a hidden folder; a file or folder that was
            met before under another name (`again`); `special`: no regular file (FIFO, socket, device); a link that
            leads nowhere (`broken`) or to a folder that it lies in (`loop`); a folder that cannot be listed.
        reason: Why it is not to be read; empty for a file.
    """

    path: Path
    name: str
    state: State = "file"
    reason: str = ""


def is_hidden(name: str) -> bool:
    """Whether a file or folder is not meant for who looks into a folder.

    >>> [is_hidden(name) for name in (".ipynb_checkpoints", "__MACOSX", "ward 3")]
    [True, True, False]
    """
    return name.startswith(".") or name.casefold() in HIDDEN


def walk(
    folder: Path, recursive: bool = True, leave_out: Path | None = None, seen: dict[Identity, Path] | None = None
) -> list[Entry]:
    """Every file below a folder, and every folder that is not entered; nothing is opened.

    What lies there comes first and links after it, each followed once: of a file with two names the real one is the
    file and the other `again`. Two names of one file (hard links) are told by its number, two folders likewise.

    Args:
        folder: Folder that exists; hidden or not, it was named.
        recursive: Whether folders below are entered, linked ones too; else nothing is said of them.
        leave_out: Folder to pass over without an entry.
        seen: Files met in other folders, by identity, to which those met here are added.

    Returns:
        Sorted by path; files of one folder as the system's names sort.
    """
    return _Walk(folder, recursive, leave_out, {} if seen is None else seen).entries()


class _Walk:
    def __init__(self, folder: Path, recursive: bool, leave_out: Path | None, seen: dict[Identity, Path]) -> None:
        self._top, self._recursive, self._seen = str(folder), recursive, seen
        self._left_out = None if leave_out is None else os.path.realpath(leave_out)
        self._folders: dict[str, str] = {}  # as they were met, by real path
        self._found: list[tuple[str, State, str]] = []
        self._links: deque[str] = deque()

    def entries(self) -> list[Entry]:
        self._enter(self._top, linked=False)
        while self._links:  # those that are met on the way come last
            self._follow(self._links.popleft())
        entries, names = [], set[str]()
        for path, state, reason in sorted(self._found):
            name = self._named(path)
            while name in names:  # a name with an escape in it, beside one with what that stands for
                name = name.replace("\\", "\\\\")
            names.add(name)
            entries.append(Entry(Path(path), name, state, reason))
        return entries

    def _enter(self, top: str, linked: bool) -> None:
        """List a folder and those in it, without following links."""
        waiting = deque([(top, False)])
        while waiting:
            folder, hidden = waiting.popleft()
            real = os.path.realpath(folder)
            if real == self._left_out:
                continue
            if (first := self._folders.setdefault(real, folder)) != folder:
                self._found.append((folder, "again", f"the same folder as {self._named(first)}"))
                continue
            try:
                with os.scandir(folder) as listed:
                    inside = sorted(
                        (one.name, one.path, one.is_dir(follow_symlinks=False), one.is_symlink()) for one in listed
                    )
            except OSError as reason:
                self._found.append((folder, "unlisted", f"cannot be listed ({reason.strerror})"))
                continue
            for name, path, is_folder, is_link in inside:
                concealed = hidden or is_hidden(name)
                if is_folder:
                    if self._recursive:
                        waiting.append((path, concealed))
                elif concealed:
                    self._found.append((path, "hidden", "hidden"))
                elif is_link:
                    self._links.append(path)
                else:
                    self._take(path, linked)

    def _follow(self, link: str) -> None:
        if not os.path.isdir(link):
            self._take(link, linked=True)
        elif self._recursive:
            target, *within = (
                os.path.join(os.path.realpath(path), "") for path in (link, os.path.dirname(link), self._top)
            )
            if any(folder.startswith(target) for folder in within):
                self._found.append((link, "loop", "a link back to a folder that it lies in"))
            else:
                self._enter(link, linked=True)

    def _take(self, path: str, linked: bool) -> None:
        try:
            status = os.stat(path)
        except OSError as reason:
            words = "a link that leads nowhere" if os.path.islink(path) else "cannot be opened"
            self._found.append((path, "broken", f"{words} ({reason.strerror})"))
            return
        if not stat.S_ISREG(status.st_mode):
            self._found.append((path, "special", "no regular file"))
            return
        first = str(self._seen.setdefault((status.st_dev, status.st_ino), Path(path)))
        # The number of a file is asked only where it may have two names: not every disk has numbers.
        again = first != path and status.st_ino != 0 and (linked or status.st_nlink > 1)
        self._found.append((path, "again", f"the same file as {self._named(first)}") if again else (path, "file", ""))

    def _named(self, path: str) -> str:
        """Below the folder, where it lies there."""
        return printable(path.removeprefix(os.path.join(self._top, "")).replace(os.sep, "/"))
