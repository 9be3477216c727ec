"""Files that are whole or not there."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pneumo_ad.errors import ConfigError


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Gives a place beside `path` to write to, and renames it when all is written; nothing is left of a failure.

    The place is nobody else's: of two who write at once, the last whole file stays.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with whole(folder / "a.txt") as aside:
    ...     _ = aside.write_text("all of it")
    >>> [file.name for file in folder.iterdir()]
    ['a.txt']
    """
    aside = path.with_name(f"{path.name}.{secrets.token_hex(4)}.partial")
    try:
        yield aside
        aside.rename(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text whole or not at all.

    Args:
        path: Where to write.
        text: As UTF-8.
    """
    with whole(path) as aside:
        aside.write_text(text, encoding="utf-8")  # whatever the machine's language: names may hold any letters


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write JSON whole or not at all.

    Args:
        path: Where to write.
        content: Plain values; NaN is none.
    """
    write_text(path, json.dumps(content, indent=2, sort_keys=False) + "\n")


def writable_folder(folder: Path) -> Path:
    """The folder, made; nothing is computed for one that cannot take the result.

    Raises:
        ConfigError: It cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with whole(folder / ".writable") as aside:
            aside.touch()
        (folder / ".writable").unlink()
    except OSError as reason:
        raise ConfigError(
            f"output={folder} cannot be written to ({reason.strerror}); name another folder: output=DIR"
        ) from reason
    return folder


@contextmanager
def folder_for_results(folder: Path) -> Iterator[Path]:
    """A `writable_folder`, taken away again where it was made for this and nothing came of it but a lock.

    Args:
        folder: Where results go.

    Raises:
        ConfigError: See `writable_folder`.
    """
    there = folder.exists()
    writable_folder(folder)
    try:
        yield folder
    except BaseException:
        if not there and all(entry.name == ".lock" for entry in folder.iterdir()):
            shutil.rmtree(folder)
        raise
