"""Listing and deletion of stores on disk."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from pneumo_ad.data.store.array_file import bytes_on_disk
from pneumo_ad.data.store.parts import parts_there, remove_parts
from pneumo_ad.data.store.store import read_about, remove_store
from pneumo_ad.errors import DamagedError
from pneumo_ad.files import cache_dir
from pneumo_ad.saved import is_there

_UNKNOWN = (0, (0, 0), "", "")  # `images`, `image_size`, `fit` and `source` of a damaged store


@dataclass(frozen=True)
class StoreInfo:
    """Store on disk, as `pneumo-ad store` lists it.

    Attributes:
        folder: Folder of the store.
        images: Number of radiographs.
        image_size: Height and width of fitted radiographs in pixels.
        fit: `squash` or `pad`.
        source: Folder of the files that it was made from.
        bytes: Size on disk in bytes.
        used: Time of last use, in seconds since 1970.
        damaged: Reason why it cannot be opened: its `store.json` is damaged, or only parts of it exist; `images`,
            `image_size`, `fit` and `source` are then not known (0 or empty). Else empty.
    """

    folder: Path
    images: int
    image_size: tuple[int, int]
    fit: str
    source: str
    bytes: int
    used: float
    damaged: str = ""


def list_stores() -> list[StoreInfo]:
    """List every store, complete or in parts, the last used first."""
    stores = []
    for folder in (cache_dir() / "stores").glob("*/"):
        if folder.suffix == ".parts":
            stores += _half_made(folder)
        about_file = folder / "store.json"
        # `.partial`: being built, or left by a killed process: see `clear_leftovers`.
        if folder.suffix == ".partial" or not is_there(about_file):
            continue
        try:
            about, damaged = read_about(folder), ""
            height, width = about["image_size"]
            known = (about["images"], (height, width), about["fit"], about["source"])
        except DamagedError as reason:
            known, damaged = _UNKNOWN, str(reason)
        stores.append(StoreInfo(folder, *known, bytes_on_disk(folder), about_file.lstat().st_mtime, damaged))
    return sorted(stores, key=lambda store: -store.used)


def _half_made(place: Path) -> list[StoreInfo]:
    """List the parts of a store that `pneumo-ad prepare` has not completed: `<key>.parts`."""
    folders = [entry for entry in place.iterdir() if entry.is_dir()]
    if not folders or is_there(place.with_suffix("") / "store.json"):
        return []
    there = [
        f"{', '.join(map(str, parts))} of {shards}" for shards, parts in parts_there(place.with_suffix("")).items()
    ]
    damaged = f"half made: parts {' and '.join(there)} are there" if there else "half made: no part is whole yet"
    size, used = sum(map(bytes_on_disk, folders)), 0.0
    for folder in folders:
        with suppress(FileNotFoundError):  # renamed meanwhile by the process that builds it
            used = max(used, folder.lstat().st_mtime)
    return [StoreInfo(place.with_suffix(""), *_UNKNOWN, size, used, damaged)]


def clear_store(folder: Path) -> None:
    """Delete a store and its parts; on POSIX, processes that have it open can continue to read it."""
    with FileLock(f"{folder}.lock"):
        remove_parts(folder)
        remove_store(folder)


def clear_leftovers() -> int:
    """Delete what killed builds left, and return their number; running builds are not touched."""
    cleared = 0
    for left in (cache_dir() / "stores").glob("*.partial"):
        with suppress(Timeout), FileLock(left.with_suffix(".lock"), timeout=0):
            shutil.rmtree(left)
            cleared += 1
    return cleared
