"""Parts of a store, prepared by whoever has time and joined into the one store of the table.

Part i of n lies in `<key>.parts/<i>-of-<n>`, beside the place of the whole `<key>`, and is a store of its stretch of
the table. Each is written by one process, in files of its own: two machines that write one page of one file over NFS
lose bytes. The joined store equals, to the byte, the one that is built at once.
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
from pneumo_ad.data.store.array_file import ArrayFile, bytes_on_disk, full_disk_named
from pneumo_ad.data.store.build import OnError, build_store, check_room, unreadable
from pneumo_ad.data.store.contents import FILE
from pneumo_ad.data.store.store import Store, read_about, read_store, remove_store
from pneumo_ad.errors import ConfigError, DamagedError, DataError
from pneumo_ad.saved import is_there, map_array

log = logging.getLogger(__name__)

_MAKING = ".making"  # a part whose lung fields and grey levels are still to come


def split_table(table: pd.DataFrame, shards: int) -> list[pd.DataFrame]:
    """Cut a table into stretches of its rows, in order, whose lengths differ by one at most.

    Args:
        table: A checked table (`check_table`), which is sorted: everybody cuts it alike.
        shards: Number of stretches.

    Raises:
        ConfigError: Fewer than one, or more than radiographs.

    >>> [len(part) for part in split_table(pd.DataFrame({"image": list("abcde")}), 2)]
    [3, 2]
    """
    if isinstance(shards, bool) or not isinstance(shards, int) or not 1 <= shards <= len(table):
        raise ConfigError(f"{shards} shards of {len(table)} radiographs; expected a number from 1 to {len(table)}")
    return [table.iloc[rows].reset_index(drop=True) for rows in np.array_split(np.arange(len(table)), shards)]


def part_folder(folder: Path, shard: int, shards: int) -> Path:
    """Place of a part.

    Args:
        folder: Place of the whole store (`store_folder`).
        shard: Number of the part, from 0.
        shards: Number of parts.
    """
    return folder.with_suffix(".parts") / f"{shard}-of-{shards}"


def parts_there(folder: Path) -> dict[int, list[int]]:
    """Numbers of the parts that are whole, by the number of shards that they are of.

    Args:
        folder: Place of the whole store (`store_folder`).
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
    """A part, built where it is not there yet; it is in its place once the body, which adds to it, has ended well.

    Whoever else asks for the same part waits.

    Args:
        folder: Place of the whole store (`store_folder`).
        table: The whole table.
        image_size: See `open_store`.
        fit: See `open_store`.
        on_error: See `open_store`.
        shard: Number of the part, from 0.
        shards: Number of parts.

    Yields:
        The part, empty where none of its radiographs can be read (`on_error=skip`); None where it was joined meanwhile.

    Raises:
        DataError: See `open_store`.
    """
    own, place = split_table(table, shards)[shard], part_folder(folder, shard, shards)
    making = place.with_suffix(_MAKING)
    with _held(place, folder) as joined:
        if joined:
            yield None
            return
        part = _read(place, own, on_error)
        if part is None:
            part = _read(making, own, on_error)  # of who was killed
        if part is None:
            build_store(own, image_size, fit, on_error, making, may_be_empty=True)
            part = read_store(making, own, on_error)
        yield part
        if part.folder == making:
            making.rename(place)


@contextmanager
def _held(place: Path, folder: Path) -> Iterator[bool]:
    """Hold the lock of a part; whether the store was joined meanwhile, and its parts are gone or about to be."""
    lock, whole = FileLock(f"{place}.lock"), folder / "store.json"
    while not is_there(whole):
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire()
            break
        except FileNotFoundError:
            continue  # who joined the parts removed their folder before there was a lock
    joined = is_there(whole)
    try:
        yield joined
    finally:
        lock.release()
    if joined:
        remove_parts(folder)  # the lock that was waited for


def _read(place: Path, table: pd.DataFrame, on_error: OnError) -> Store | None:
    if not is_there(place / "store.json"):
        return None
    try:
        return read_store(place, table, on_error)
    except DamagedError as reason:
        log.warning("%s: the part is built anew", reason)
        remove_store(place)
        return None


def join_parts(folder: Path, table: pd.DataFrame, image_size: tuple[int, int], fit: Fit) -> bool:
    """Join the parts of a store, lung fields and grey levels too; whoever asks holds the lock of the store.

    Args:
        folder: Place of the whole store (`store_folder`).
        table: See `open_store`.
        image_size: See `open_store`.
        fit: See `open_store`.

    Returns:
        Whether there were any.

    Raises:
        DataError: Some are missing (says which, and the command that makes them), none holds a radiograph that can be
            read, or no room on the disk.
        DamagedError: A part is not whole; says the command that makes it anew.
    """
    there = parts_there(folder)
    if not there:
        return False
    shards = next((shards for shards, numbers in there.items() if len(numbers) == shards), None)
    if shards is None:
        raise DataError(_missing(folder, there, image_size, fit))
    places = [part_folder(folder, shard, shards) for shard in range(shards)]
    aside = folder.with_suffix(".partial")
    shutil.rmtree(aside, ignore_errors=True)
    with ExitStack() as locks:
        parts = []
        for shard, (place, own) in enumerate(zip(places, split_table(table, shards), strict=True)):
            locks.enter_context(FileLock(f"{place}.lock"))  # somebody may be adding lung fields to it
            try:
                parts.append(read_store(place, own, "skip"))
            except DamagedError as reason:
                command = _command(image_size, fit, shards, [shard])
                raise DamagedError(f"{reason}; this makes the part anew: {command}") from reason
        check_room(folder.parent, sum(map(bytes_on_disk, places)))
        try:
            with full_disk_named(folder.parent):
                aside.mkdir()
                _join(parts, aside)
                aside.rename(folder)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
    return True


def _join(parts: Sequence[Store], aside: Path) -> None:
    about = [read_about(part.folder) for part in parts]
    skipped = {image: reason for one in about for image, reason in one["skipped"].items()}
    parts = [part for part in parts if len(part)]
    if not parts:
        raise unreadable(skipped)
    held = Counter(file.name for part in parts for file in part.folder.glob("*.npy"))
    for name, count in sorted(held.items()):
        if count < len(parts):
            log.warning("%s is not in every part of %s: it is made for all when it is asked for", name, aside.stem)
            continue
        try:
            arrays = [map_array(part.folder / name, np.uint8, (len(part), None, None)) for part in parts]
        except DamagedError as reason:  # lung fields or grey levels: `read_store` has looked at the others
            log.warning("%s: it is made anew for all when it is asked for", reason)
            continue
        with ArrayFile(aside / name, sum(map(len, arrays)), arrays[0].shape[1:]) as rows:
            for row in chain.from_iterable(arrays):
                rows.write(row if row.any() else None)
            rows.finish()
    for name in ("table.csv", FILE):
        with (aside / name).open("wb") as whole:
            for number, part in enumerate(parts):
                with (part.folder / name).open("rb") as own:
                    heading = own.readline()
                    whole.write(b"" if number else heading)
                    shutil.copyfileobj(own, whole)
    whole_about = about[0] | {"images": sum(map(len, parts)), "skipped": skipped}
    whole_about["source"] = os.path.commonpath([one["source"] for one in about])
    (aside / "store.json").write_text(json.dumps(whole_about, indent=1))


def remove_parts(folder: Path) -> None:
    """Delete the parts of a store, but for those that somebody is at work on.

    Args:
        folder: Place of the whole store (`store_folder`).
    """
    parts, joined = folder.with_suffix(".parts"), is_there(folder / "store.json")
    for place in {one.with_suffix("") for one in parts.glob("*")}:
        lock = Path(f"{place}.lock")
        with suppress(Timeout), FileLock(lock, timeout=0):
            for one in (place, place.with_suffix(_MAKING), place.with_suffix(".partial")):
                shutil.rmtree(one, ignore_errors=True)
            if joined:  # else who waits for this lock and who comes later would hold two, and build at once
                lock.unlink(missing_ok=True)
    with suppress(OSError):  # somebody is at work in it, or locks are left
        parts.rmdir()


def _missing(folder: Path, there: dict[int, list[int]], image_size: tuple[int, int], fit: Fit) -> str:
    """The numbers that are there and those that are not, with the commands for what can be done."""
    told = [f"{', '.join(map(str, numbers))} of num_shards={shards}" for shards, numbers in there.items()]
    missing = {shards: sorted(set(range(shards)) - set(numbers)) for shards, numbers in there.items()}
    shards = min(missing, key=lambda one: len(missing[one]) / one)
    numbers = missing[shards]
    return (
        f"store {folder.name} is half made: of its parts {' and '.join(told)} are there. Prepare the missing "
        f"{', '.join(map(str, numbers))}, with data=..., lungs=... and intensity=... as given here: "
        f"{_command(image_size, fit, shards, numbers)}; or clear them: pneumo-ad store clear={folder.name}"
    )


def _command(image_size: tuple[int, int], fit: Fit, shards: int, numbers: Sequence[int]) -> str:
    height, width = image_size
    size = f"{height}" if height == width else f"[{height},{width}]"
    several = " -m" if len(numbers) > 1 else ""
    chosen = f"num_shards={shards} shard={','.join(map(str, numbers))}{several}"
    return f"pneumo-ad prepare data=... image_size={size} fit={fit} {chosen}"
