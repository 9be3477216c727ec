"""Atomic writing of files, and folders of results, cache and configuration."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platformdirs import user_cache_path, user_config_path

from pneumo_ad.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

_LONGEST_WRITE = 3600  # seconds
PARTIAL = re.compile(r"\.[0-9a-f]{8}\.partial$")  # temporary names of `atomic_write`


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, renamed to it after the block; deleted if the block fails.

    The temporary path is unique: of two processes that write at once, the last whole file stays. Temporary files of
    killed processes are deleted from the folder once they are older than any write can take.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with atomic_write(folder / "a.txt") as aside:
    ...     _ = aside.write_text("all of it")
    >>> [file.name for file in folder.iterdir()]
    ['a.txt']
    """
    _delete_old(path.parent)
    aside = path.with_name(f"{path.name}.{secrets.token_hex(4)}.partial")
    try:
        yield aside
        aside.rename(path)
    except BaseException as reason:
        aside.unlink(missing_ok=True)
        if isinstance(reason, OSError) and reason.errno and reason.filename in (None, str(aside)):
            reason.filename = str(path)  # the error of a full disk names no file
        raise


@cache
def _delete_old(folder: Path) -> None:
    """Delete old temporary files, once per process and folder, as a folder may get many files."""
    delete_partial(folder, _LONGEST_WRITE)


def delete_partial(folder: Path, older: float = 0) -> None:
    """Delete temporary files of `atomic_write` that killed processes left.

    Args:
        folder: Folder of the files; its subfolders are not searched.
        older: Least age in seconds; another process may still write a younger file.
    """
    for left in folder.glob("*.partial"):
        with suppress(OSError):  # another process deleted it
            if PARTIAL.search(left.name) and left.is_file() and time.time() - left.stat().st_mtime >= older:
                left.unlink()


def write_text(path: Path, text: str) -> None:
    """Write a text atomically.

    Args:
        path: File to write.
        text: Text, written as UTF-8.
    """
    with atomic_write(path) as aside:
        aside.write_text(text, encoding="utf-8")  # not the locale's encoding: names may hold any letters


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write JSON atomically.

    Args:
        path: File to write.
        content: Plain values, without NaN.
    """
    write_text(path, json.dumps(content, indent=2, sort_keys=False) + "\n")


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV atomically, without its index, floats with six significant digits.

    Args:
        path: File to write.
        table: Table to write.
    """
    with atomic_write(path) as aside:
        table.to_csv(aside, index=False, float_format="%.6g")


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
    """Create a folder, and check by a temporary file that it can be written to.

    Args:
        folder: Folder to try.

    Raises:
        OSError: The folder cannot be created or written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):  # without a name: another process may try at once, or this one be killed
        pass


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

    It stays if another process holds that lock.

    Args:
        folder: Folder of the results.

    Raises:
        ConfigError: See `writable_folder`.
    """
    from filelock import FileLock, Timeout  # slow to import, and most commands do without

    existed = folder.exists()
    writable_folder(folder)
    try:
        yield folder
    except BaseException:
        with suppress(Timeout, OSError), FileLock(folder / ".lock", timeout=0):
            if not existed and all(entry.name == ".lock" for entry in folder.iterdir()):
                shutil.rmtree(folder)
        raise


@contextmanager
def atomic_folder(folder: Path, wait: float = -1) -> Iterator[Path]:
    """Yield a temporary folder, which takes the place of `folder` after the block; deleted if the block fails.

    One process at a time makes a folder, and first deletes the remains of a killed one. If the block deletes the
    temporary folder, `folder` stays as it is.

    Args:
        folder: Folder to make, or to replace.
        wait: Seconds to wait for another process that makes it; below 0 for as long as it takes.

    Raises:
        Timeout: Another process makes it.

    >>> place = Path(tempfile.mkdtemp())
    >>> with atomic_folder(place / "a") as aside:
    ...     _ = (aside / "b.txt").write_text("all of it")
    >>> [file.name for file in place.iterdir()], [file.name for file in (place / "a").iterdir()]
    (['a'], ['b.txt'])
    """
    from filelock import FileLock

    work = folder.with_name(f".{folder.name}.partial")
    aside, before = work / "new", work / "before"
    lock = FileLock(work / ".lock", timeout=wait)
    while not lock.is_locked:
        try:
            work.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except (FileNotFoundError, FileExistsError):  # the process that had the lock deleted its folder meanwhile
            if work.exists() and not work.is_dir():
                raise
    try:
        if before.is_dir() and not folder.exists():
            before.rename(folder)  # a process was killed between the two renames below
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        yield aside
        if aside.is_dir():
            if folder.is_dir():
                folder.rename(before)
            aside.rename(folder)
    finally:
        for place in (aside, before, work):  # the folder of the lock last: the next process waits for it
            shutil.rmtree(place, ignore_errors=True)
        lock.release()


def cache_dir() -> Path:
    """Return the folder of stores, lung fields and phantoms: `PNEUMO_AD_CACHE`, else the user's cache folder."""
    given = os.environ.get("PNEUMO_AD_CACHE")
    try:
        return Path(given).expanduser() if given else user_cache_path("pneumo_ad")
    except RuntimeError as reason:  # no HOME, and a user id without a name, as in some containers
        raise ConfigError("no home folder is known here: name a folder for the cache, PNEUMO_AD_CACHE=DIR") from reason


def writable_cache() -> Path:
    """Create `cache_dir` and check that it can be written to.

    Raises:
        ConfigError: It cannot be created or written to.
    """
    folder = cache_dir()
    try:
        try_to_write(folder)
    except OSError as reason:
        raise ConfigError(
            f"the cache folder {folder} cannot be written to ({reason.strerror}); name another: PNEUMO_AD_CACHE=DIR"
        ) from reason
    return folder


def replace_paths(text: str, instead: Mapping[str, str]) -> str:
    """Replace paths in a text.

    Args:
        text: Text to search.
        instead: Path -> replacement; of paths with a common beginning the longest is replaced.

    >>> replace_paths("/x/set/a.png: no such file", {"/x/set": "set"})
    'set/a.png: no such file'
    """
    paths = sorted(filter(None, instead), key=len, reverse=True)
    return re.sub("|".join(map(re.escape, paths)), lambda match: instead[match[0]], text) if paths else text


def config_dir() -> Path:
    """Return the folder of the files that the user trusts: `PNEUMO_AD_CONFIG`, else the user's config folder."""
    given = os.environ.get("PNEUMO_AD_CONFIG")
    try:
        return Path(given).expanduser() if given else user_config_path("pneumo_ad")
    except RuntimeError:  # no home folder, as in `cache_dir`
        return cache_dir() / "config"


MOST = 8  # most threads: a file of 100 megapixels takes 1.2 GB while it is read


def reading_threads() -> int:
    """Return the number of threads that read files: one per core that this process may use, at most `MOST`.

    >>> 1 <= reading_threads() <= MOST
    True
    """
    # On a shared node a process may use few of the cores; not every system can report which.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MOST, cores)
