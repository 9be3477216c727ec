"""Stores on the disk: listed, and cleared."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from pneumo_ad.data.store.store import read_about, remove_store
from pneumo_ad.errors import DamagedError
from pneumo_ad.files import cache_dir
from pneumo_ad.saved import is_there


@dataclass(frozen=True)
class StoreInfo:
    """A store on disk, as `pneumo-ad store` lists it.

    Attributes:
        folder: Where it lies.
        images: Radiographs in it.
        image_size: (height, width) of fitted radiographs in pixels.
        fit: `squash` or `pad`.
        source: Folder of the files it was made of.
        bytes: On disk.
        used: When it was last opened.
        damaged: What is wrong with its `store.json`, which the other values then are not of; else empty.
    """

    folder: Path
    images: int
    image_size: tuple[int, int]
    fit: str
    source: str
    bytes: int
    used: float
    damaged: str = ""


def list_stores(cache: Path | None = None) -> list[StoreInfo]:
    """Every whole store, the last used first."""
    cache = cache if cache is not None else cache_dir() / "stores"
    stores = []
    for folder in cache.glob("*/"):
        about_file = folder / "store.json"
        # `.partial`: under way, or left by who was killed: see `clear_leftovers`.
        if folder.suffix == ".partial" or not is_there(about_file):
            continue
        try:
            about, damaged = read_about(folder), ""
        except DamagedError as reason:
            about, damaged = {"images": 0, "image_size": [0, 0], "fit": "", "source": ""}, str(reason)
        size = sum(_room(file.lstat()) for file in folder.iterdir())
        image_size = (int(about["image_size"][0]), int(about["image_size"][1]))
        stores.append(
            StoreInfo(
                folder,
                about["images"],
                image_size,
                about["fit"],
                about["source"],
                size,
                about_file.lstat().st_mtime,
                damaged,
            )
        )
    return sorted(stores, key=lambda store: -store.used)


def _room(stat: os.stat_result) -> int:
    """Bytes on the disk, without holes where the system tells."""
    return stat.st_blocks * 512 if hasattr(stat, "st_blocks") else stat.st_size


def clear_store(folder: Path) -> None:
    """Delete one store; whoever has it open keeps reading it until they close it (on POSIX)."""
    with FileLock(f"{folder}.lock"):
        remove_store(folder)


def clear_leftovers(cache: Path | None = None) -> int:
    """Delete what killed builds left behind, and say how many; builds that are under way are left alone."""
    cache = cache if cache is not None else cache_dir() / "stores"
    cleared = 0
    for left in cache.glob("*.partial"):
        try:
            with FileLock(left.with_suffix(".lock"), timeout=0):
                shutil.rmtree(left)
                cleared += 1
        except Timeout:
            continue
    return cleared
