"""Walk of a folder that lists every file once, for data sources and `predict`."""

# ruff: noqa: PTH112, PTH114, PTH116, PTH118, PTH120
# Paths are strings here: `Path`s of many files are slow.

from __future__ import annotations

import os
import stat
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pneumo_ad.errors import printable

# Folders that operating systems create, besides those whose name begins with a dot; in any case.
HIDDEN = frozenset(
    {"__macosx", "@eadir", "#recycle", "#snapshot", "$recycle.bin", "system volume information", "lost+found"}
)

State = Literal["file", "hidden", "again", "special", "broken", "loop", "unlisted"]
Identity = tuple[int, int]  # identity of a file, whatever its name: device and inode


@dataclass(frozen=True)
class Entry:
    """File below a folder, or folder that was not entered.

    Attributes:
        path: Path for opening it.
        name: Path below the folder, with `/`, `printable` and unique.
        state: `file`: a regular file; `hidden`: a hidden file, or one in a hidden folder; `again`: a file or folder
            that was listed under another name; `special`: no regular file (FIFO, socket, device); `broken`: a broken
            link, or a file that cannot be opened; `loop`: a link to a folder that contains it; `unlisted`: a folder
            that cannot be listed.
        reason: Reason not to read it; empty for a file.
    """

    path: Path
    name: str
    state: State = "file"
    reason: str = ""


def is_hidden(name: str) -> bool:
    """Whether a file or folder is hidden by its name.

    >>> [is_hidden(name) for name in (".ipynb_checkpoints", "__MACOSX", "ward 3")]
    [True, True, False]
    """
    return name.startswith(".") or name.casefold() in HIDDEN


def walk(
    folder: Path, recursive: bool = True, leave_out: Path | None = None, seen: dict[Identity, Path] | None = None
) -> list[Entry]:
    """List every file below a folder, and every folder that is not entered; no file is opened.

    Links are followed once, after all other files: of a file and a link to it, the link is `again`. Hard links are
    recognised by the inode, folders by their real path.

    Args:
        folder: Existing folder, hidden or not.
        recursive: Whether to enter the folders below, linked ones too; else they are not listed.
        leave_out: Folder to skip without an entry.
        seen: Files listed in other folders, by identity; those listed here are added.

    Returns:
        Entries, sorted by path.
    """
    return _Walk(folder, recursive, leave_out, {} if seen is None else seen).entries()


class _Walk:
    def __init__(self, folder: Path, recursive: bool, leave_out: Path | None, seen: dict[Identity, Path]) -> None:
        self._top, self._recursive, self._seen = str(folder), recursive, seen
        self._left_out = None if leave_out is None else os.path.realpath(leave_out)
        self._folders: dict[str, str] = {}  # real path -> path under which it was entered
        self._found: list[tuple[str, State, str]] = []
        self._links: deque[str] = deque()

    def entries(self) -> list[Entry]:
        self._enter(self._top, linked=False)
        while self._links:  # links found on the way are followed last
            self._follow(self._links.popleft())
        entries, names = [], set[str]()
        for path, state, reason in sorted(self._found):
            name = self._named(path)
            while name in names:  # a name that contains an escape, beside one with the escaped character
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
                        (item.name, item.path, item.is_dir(follow_symlinks=False), item.is_symlink()) for item in listed
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
        # The inode counts only if the file may have two names: not every file system has inodes.
        again = first != path and status.st_ino != 0 and (linked or status.st_nlink > 1)
        self._found.append((path, "again", f"the same file as {self._named(first)}") if again else (path, "file", ""))

    def _named(self, path: str) -> str:
        """Printable path below the folder."""
        return printable(path.removeprefix(os.path.join(self._top, "")).replace(os.sep, "/"))
