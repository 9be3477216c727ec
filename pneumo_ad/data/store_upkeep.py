"""Stores on the disk: listed, and cleared."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from pneumo_ad.paths import cache_dir


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
    """

    folder: Path
    images: int
    image_size: tuple[int, int]
    fit: str
    source: str
    bytes: int
    used: float


def list_stores(cache: Path | None = None) -> list[StoreInfo]:
    """Every whole store, the last used first."""
    cache = cache if cache is not None else cache_dir() / "stores"
    stores = []
    for about_file in cache.glob("*/store.json"):
        if about_file.parent.suffix == ".partial":  # under way, or left by who was killed: see `clear_leftovers`
            continue
        about = json.loads(about_file.read_text())
        size = sum(_room(file.stat()) for file in about_file.parent.iterdir())
        image_size = (int(about["image_size"][0]), int(about["image_size"][1]))
        stores.append(
            StoreInfo(
                about_file.parent,
                about["images"],
                image_size,
                about["fit"],
                about["source"],
                size,
                about_file.stat().st_mtime,
            )
        )
    return sorted(stores, key=lambda store: -store.used)


def _room(stat: os.stat_result) -> int:
    """Bytes on the disk, without holes where the system tells."""
    return stat.st_blocks * 512 if hasattr(stat, "st_blocks") else stat.st_size


def clear_store(folder: Path) -> None:
    """Delete one store; whoever has it open keeps reading it until they close it (on POSIX)."""
    gone = folder.with_suffix(".partial")
    with FileLock(f"{folder}.lock"):
        folder.rename(gone)  # one step: a store is either whole or not there
        shutil.rmtree(gone)


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
