"""Atomic writing of files, and folders of results, cache and configuration."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platformdirs import user_cache_path, user_config_path

from pneumo_ad.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, renamed to it after the block; deleted if the block fails.

    The temporary path is unique: of two processes that write at once, the last whole file stays.

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
    """Write a text atomically.

    Args:
        path: File to write.
        text: Text, written as UTF-8.
    """
    with atomic_write(path) as aside:
        aside.write_text(text, encoding="utf-8")  # not the locale's encoding: names may hold any letters


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """Write a table as CSV, without its index and with six digits of a number, atomically.

    Args:
        path: File to write.
        frame: Table to write.
    """
    with atomic_write(path) as aside:
        frame.to_csv(aside, index=False, float_format="%.6g")


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write JSON atomically.

    Args:
        path: File to write.
        content: Plain values, without NaN.
    """
    write_text(path, json.dumps(content, indent=2, sort_keys=False) + "\n")


def write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write arrays atomically, as `saved.read_arrays` reads them.

    Args:
        path: File to write.
        arrays: Name -> array of numbers or text.
    """
    import numpy as np  # slow to import, and most commands do without

    with atomic_write(path) as aside, aside.open("wb") as opened:  # a file: savez appends .npz to a name
        np.savez(opened, **arrays)


def try_to_write(folder: Path) -> None:
    """Create a folder, write a file to it and delete that file.

    Args:
        folder: Folder to try.

    Raises:
        OSError: The folder cannot be created or written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / ".writable") as aside:
        aside.touch()
    (folder / ".writable").unlink()


def writable_folder(folder: Path) -> Path:
    """Create a folder and check that it can be written to, before results are computed for it.

    Raises:
        ConfigError: It cannot be created or written to.
    """
    try:
        try_to_write(folder)
    except OSError as reason:
        raise ConfigError(
            f"output={folder} cannot be written to ({reason.strerror}); name another folder: output=DIR"
        ) from reason
    return folder


@contextmanager
def folder_for_results(folder: Path) -> Iterator[Path]:
    """Yield a `writable_folder`; if the block fails, a folder created here that holds at most a lock is deleted.

    Args:
        folder: Folder of the results.

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
    """Return the folder of stores, lung fields and phantoms: `PNEUMO_AD_CACHE`, else the user's cache folder."""
    given = os.environ.get("PNEUMO_AD_CACHE")
    return Path(given).expanduser() if given else user_cache_path("pneumo_ad")


def replace_paths(text: str, instead: Mapping[str, str]) -> str:
    """Replace paths in a text.

    Args:
        text: Text to search.
        instead: Path -> replacement; of paths that begin alike the longest is replaced.

    >>> replace_paths("/x/set/a.png: no such file", {"/x/set": "set"})
    'set/a.png: no such file'
    """
    paths = sorted(filter(None, instead), key=len, reverse=True)
    return re.sub("|".join(map(re.escape, paths)), lambda match: instead[match[0]], text) if paths else text


def config_dir() -> Path:
    """Return the folder of the files that the user trusts: `PNEUMO_AD_CONFIG`, else the user's config folder."""
    given = os.environ.get("PNEUMO_AD_CONFIG")
    return Path(given).expanduser() if given else user_config_path("pneumo_ad")


MOST = 8  # most threads: a file of 100 megapixels takes 1.2 GB while it is read


def reading_threads() -> int:
    """Return the number of threads that read files: one per core that this process may use, at most `MOST`.

    >>> 1 <= reading_threads() <= MOST
    True
    """
    # On a shared node a process may use few of the cores; not every system can report which.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MOST, cores)
