"""Files that are whole or not there."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path, user_config_path

from pneumo_ad.errors import ConfigError


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Gives a place beside `path` to write to, and renames it when all is written; nothing is left of a failure.

    The place is nobody else's: of two who write at once, the last whole file stays.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with atomic_write(folder / "a.txt") as aside:
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
    with atomic_write(path) as aside:
        aside.write_text(text, encoding="utf-8")  # whatever the machine's language: names may hold any letters


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write JSON whole or not at all.

    Args:
        path: Where to write.
        content: Plain values; NaN is none.
    """
    write_text(path, json.dumps(content, indent=2, sort_keys=False) + "\n")


def write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write arrays whole or not at all, as `saved.read_arrays` reads them.

    Args:
        path: Where to write.
        arrays: By name; plain numbers and words.
    """
    import numpy as np  # which most commands do not need to start

    with atomic_write(path) as aside, aside.open("wb") as opened:  # a file: savez appends .npz to a name
        np.savez(opened, **arrays)


def writable_folder(folder: Path) -> Path:
    """The folder, made; nothing is computed for one that cannot take the result.

    Raises:
        ConfigError: It cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(folder / ".writable") as aside:
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


def cache_dir() -> Path:
    """Folder of stores, lung fields and phantoms: `PNEUMO_AD_CACHE`, else the user's own cache folder."""
    given = os.environ.get("PNEUMO_AD_CACHE")
    return Path(given).expanduser() if given else user_cache_path("pneumo_ad")


def replace_paths(text: str, instead: Mapping[str, str]) -> str:
    """A text with other paths in it.

    Args:
        text: Any.
        instead: Path -> what stands in its place; of paths that begin alike the longest counts.

    >>> replace_paths("/x/set/a.png: no such file", {"/x/set": "set"})
    'set/a.png: no such file'
    """
    paths = sorted(filter(None, instead), key=len, reverse=True)
    return re.sub("|".join(map(re.escape, paths)), lambda found: instead[found[0]], text) if paths else text


def config_dir() -> Path:
    """Folder of what the user trusts: `PNEUMO_AD_CONFIG`, else the user's own config folder."""
    given = os.environ.get("PNEUMO_AD_CONFIG")
    return Path(given).expanduser() if given else user_config_path("pneumo_ad")


MOST = 8  # a file of 100 megapixels takes 1.2 GB while it is read


def reading_threads() -> int:
    """One per core that this process may use, which of a shared node are few of many; at most `MOST`.

    >>> 1 <= reading_threads() <= MOST
    True
    """
    # Not every system tells which cores are a process's own.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MOST, cores)
