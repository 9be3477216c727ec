"""Parts of a store, prepared by several processes or machines and joined into the store of the table.

Part i of n is in `<key>.parts/<i>-of-<n>`, beside the folder `<key>` of the whole store, and is a store of consecutive
rows of the table. Each part has its own files, written by one process: two machines that write one page of a file over
NFS lose bytes. The joined store equals, byte by byte, the one that is built at once.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout

from pneumo_ad.data.fit import Fit
from pneumo_ad.data.shards import stretches
from pneumo_ad.data.store.array_file import ArrayFile, bytes_on_disk, whole_folder
from pneumo_ad.data.store.build import OnError, build_store, unreadable
from pneumo_ad.data.store.contents import FILE
from pneumo_ad.data.store.store import Store, read_about, read_store, remove_store
from pneumo_ad.errors import DamagedError, DataError
from pneumo_ad.saved import is_there, map_array

log = logging.getLogger(__name__)

_MAKING = ".making"  # suffix of a part whose lung fields and grey levels are not complete


def split_table(table: pd.DataFrame, shards: int) -> list[pd.DataFrame]:
    """Split a table into blocks of consecutive rows, in order, whose lengths differ by one at most.

    Args:
        table: Checked table (`check_table`), which is sorted, so that every process splits it alike.
        shards: Number of blocks.

    Raises:
        ConfigError: See `stretches`.

    >>> [len(part) for part in split_table(pd.DataFrame({"image": list("abcde")}), 2)]
    [3, 2]
    """
    return [table.iloc[rows].reset_index(drop=True) for rows in stretches(len(table), shards)]


def part_folder(folder: Path, shard: int, shards: int) -> Path:
    """Return the folder of a part.

    Args:
        folder: Folder of the whole store (`store_folder`).
        shard: Number of the part, from 0.
        shards: Number of parts.
    """
    return folder.with_suffix(".parts") / f"{shard}-of-{shards}"


def parts_there(folder: Path) -> dict[int, list[int]]:
    """List the parts that are complete: number of shards -> numbers of the parts.

    Args:
        folder: Folder of the whole store (`store_folder`).
    """
    there: dict[int, list[int]] = {}
    for about in folder.with_suffix(".parts").glob("*/store.json"):
        if match := re.fullmatch(r"(\d+)-of-(\d+)", about.parent.name):
            there.setdefault(int(match[2]), []).append(int(match[1]))
    return {shards: sorted(there[shards]) for shards in sorted(there)}


@contextmanager
def opened_part(
    folder: Path, table: pd.DataFrame, image_size: tuple[int, int], fit: Fit, on_error: OnError, shard: int, shards: int
) -> Iterator[Store | None]:
    """Open a part, or build it if it is missing; it counts as complete after the block, which may add arrays to it.

    Another process that asks for the same part waits.

    Args:
        folder: Folder of the whole store (`store_folder`).
        table: Table of the whole store.
        image_size: See `open_store`.
        fit: See `open_store`.
        on_error: See `open_store`.
        shard: Number of the part, from 0.
        shards: Number of parts.

    Yields:
        Store of the part, empty if none of its radiographs can be read (`on_error=skip`); None if the whole store was
        joined meanwhile.

    Raises:
        DataError: See `open_store`.
    """
    block, place = split_table(table, shards)[shard], part_folder(folder, shard, shards)
    making = place.with_suffix(_MAKING)
    with _held(place, folder) as joined:
        if joined:
            yield None
            return
        part = _read(place, block, on_error)
        if part is None:
            part = _read(making, block, on_error)  # left by a killed process
        if part is None:
            build_store(block, image_size, fit, on_error, making, may_be_empty=True)
            part = read_store(making, block, on_error)
        yield part
        if part.folder == making:
            making.rename(place)


@contextmanager
def _held(place: Path, folder: Path) -> Iterator[bool]:
    """Hold the lock of a part; yield whether the store was joined meanwhile, which deletes the parts."""
    lock, whole = FileLock(f"{place}.lock"), folder / "store.json"
    while not is_there(whole):
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire()
            break
        except FileNotFoundError:
            continue  # the process that joined the parts deleted their folder before the lock was created
    joined = is_there(whole)
    try:
        yield joined
    finally:
        lock.release()
    if joined:
        remove_parts(folder)  # deletes the lock that was waited for


def _read(place: Path, table: pd.DataFrame, on_error: OnError) -> Store | None:
    if not is_there(place / "store.json"):
        return None
    try:
        return read_store(place, table, on_error)
    except DamagedError as reason:
        log.warning("%s: the part is rebuilt", reason)
        remove_store(place)
        return None


def join_parts(folder: Path, table: pd.DataFrame, image_size: tuple[int, int], fit: Fit) -> bool:
    """Join the parts of a store, with lung fields and grey levels; the caller holds the lock of the store.

    Args:
        folder: Folder of the whole store (`store_folder`).
        table: See `open_store`.
        image_size: See `open_store`.
        fit: See `open_store`.

    Returns:
        Whether there were parts.

    Raises:
        DataError: Some parts are missing (names them, and the command that makes them), no part holds a radiograph that
            can be read, or no space on the disk.
        DamagedError: A part is damaged; names the command that rebuilds it.
    """
    there = parts_there(folder)
    if not there:
        return False
    shards = next((shards for shards, numbers in there.items() if len(numbers) == shards), None)
    if shards is None:
        raise DataError(_missing(folder, there, image_size, fit))
    places = [part_folder(folder, shard, shards) for shard in range(shards)]
    with ExitStack() as locks:
        parts = []
        for shard, (place, block) in enumerate(zip(places, split_table(table, shards), strict=True)):
            locks.enter_context(FileLock(f"{place}.lock"))  # another process may be adding lung fields to it
            try:
                parts.append(read_store(place, block, "skip"))
            except DamagedError as reason:
                command = _command(image_size, fit, shards, [shard])
                raise DamagedError(f"{reason}; this rebuilds the part: {command}") from reason
        with whole_folder(folder, sum(map(bytes_on_disk, places))) as aside:
            _join(parts, aside)
    return True


def _join(parts: Sequence[Store], aside: Path) -> None:
    about = [read_about(part.folder) for part in parts]
    skipped = {image: reason for of_part in about for image, reason in of_part["skipped"].items()}
    parts = [part for part in parts if len(part)]
    if not parts:
        raise unreadable(skipped)
    held = Counter(file.name for part in parts for file in part.folder.glob("*.npy"))
    for name, count in sorted(held.items()):
        if count < len(parts):
            log.warning("%s is not in every part of %s: it is computed for all when needed", name, aside.stem)
            continue
        try:
            arrays = [map_array(part.folder / name, np.uint8, (len(part), None, None)) for part in parts]
        except DamagedError as reason:  # lung fields or grey levels: `read_store` has checked the other arrays
            log.warning("%s: it is recomputed for all when needed", reason)
            continue
        with ArrayFile(aside / name, sum(map(len, arrays)), arrays[0].shape[1:]) as rows:
            for row in chain.from_iterable(arrays):
                rows.write(row if row.any() else None)
            rows.finish()
    for name in ("table.csv", FILE):
        with (aside / name).open("wb") as whole:
            for number, part in enumerate(parts):
                with (part.folder / name).open("rb") as lines:
                    heading = lines.readline()
                    whole.write(b"" if number else heading)
                    shutil.copyfileobj(lines, whole)
    whole_about = about[0] | {"images": sum(map(len, parts)), "skipped": skipped}
    whole_about["source"] = os.path.commonpath([of_part["source"] for of_part in about])
    (aside / "store.json").write_text(json.dumps(whole_about, indent=1))


def remove_parts(folder: Path) -> None:
    """Delete the parts of a store, except those that another process has locked.

    Args:
        folder: Folder of the whole store (`store_folder`).
    """
    parts, joined = folder.with_suffix(".parts"), is_there(folder / "store.json")
    for place in {entry.with_suffix("") for entry in parts.glob("*")}:
        lock = Path(f"{place}.lock")
        with suppress(Timeout), FileLock(lock, timeout=0):
            for version in (place, place.with_suffix(_MAKING), place.with_suffix(".partial")):
                shutil.rmtree(version, ignore_errors=True)
            if joined:  # else a waiting process and a later one would hold two locks, and both build
                lock.unlink(missing_ok=True)
    with suppress(OSError):  # another process works in it, or locks are left
        parts.rmdir()


def _missing(folder: Path, there: dict[int, list[int]], image_size: tuple[int, int], fit: Fit) -> str:
    """Message with the present and missing parts, and the commands that complete or clear them."""
    present = [f"{', '.join(map(str, numbers))} of num_shards={shards}" for shards, numbers in there.items()]
    missing = {shards: sorted(set(range(shards)) - set(numbers)) for shards, numbers in there.items()}
    shards = min(missing, key=lambda count: len(missing[count]) / count)
    numbers = missing[shards]
    return (
        f"store {folder.name} is half made: of its parts {' and '.join(present)} are there. Prepare the missing "
        f"{', '.join(map(str, numbers))}, with data=..., lungs=... and intensity=... as given here: "
        f"{_command(image_size, fit, shards, numbers)}; or clear them: pneumo-ad store clear={folder.name}"
    )


def _command(image_size: tuple[int, int], fit: Fit, shards: int, numbers: Sequence[int]) -> str:
    height, width = image_size
    size = f"{height}" if height == width else f"[{height},{width}]"
    several = " -m" if len(numbers) > 1 else ""
    chosen = f"num_shards={shards} shard={','.join(map(str, numbers))}{several}"
    return f"pneumo-ad prepare data=... image_size={size} fit={fit} {chosen}"
