"""Decoded, resized radiographs and masks as memory-mapped uint8 on disk: built once, shared by every run.

A store is a folder `<cache>/stores/<key>` with `images.npy` (N, H, W), `lung.npy` and `opacity.npy` (N, H, W; 0 and 1;
holes where there is no mask), `table.csv`, `files.csv` (`contents`) and `store.json`. Its key is a digest of the files
(absolute path, size, modification time), boxes, image size and fit. It is written aside and renamed when whole; a lock
lets a second builder wait and then use the first one's.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pneumo_ad.data.fit import Fit
from pneumo_ad.data.store.build import FORMAT, OnError, entries_of, name_files, unreadable
from pneumo_ad.data.store.contents import FILE, read_contents
from pneumo_ad.errors import DamagedError
from pneumo_ad.files import cache_dir
from pneumo_ad.patches.placement import Placement
from pneumo_ad.saved import GIB, MIB, map_array, read_json, read_table


@dataclass(frozen=True)
class Store:
    """An open store: row i of every array and of the table is the same radiograph.

    Attributes:
        images: (N, H, W) uint8, memory-mapped, grey levels 0-255.
        lung: (N, H, W) uint8 of 0 and 1 from mask files; zeros where `table.has_lung` is false.
        opacity: The same for opacities, from mask files or boxes, with `table.has_opacity`.
        table: The source's table for the images that could be read, with `height`, `width` (the file's own),
            `window_low`, `window_high`, `top`, `left`, `fitted_height`, `fitted_width` (see `Placement`), `bytes` (of
            the image's file), and `truth`: "mask" or "boxes" where that tells of opacities, else "".
        contents: `image`, `kind`, `bytes` and `sha256` of each of its files as they were decoded, as text (`contents`).
        skipped: name -> reason for each file that was left out.
        folder: Where it lies; `key` is the folder's name.
    """

    images: npt.NDArray[np.uint8]
    lung: npt.NDArray[np.uint8]
    opacity: npt.NDArray[np.uint8]
    table: pd.DataFrame
    contents: pd.DataFrame
    skipped: dict[str, str]
    folder: Path

    @property
    def key(self) -> str:
        """Digest of what went in."""
        return self.folder.name

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of every image in pixels."""
        return self.images.shape[1], self.images.shape[2]

    def __len__(self) -> int:
        return len(self.images)

    def placement(self, row: int) -> Placement:
        """Where radiograph `row` lies inside its fitted image."""
        return Placement.of_rows(self.table.iloc[[row]])[0]

    def content(self, rows: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8]:
        """(len(rows), H, W) of 0 and 1: what is radiograph and not padding."""
        inside = np.empty((len(rows), *self.image_size), dtype=np.uint8)
        for mask, placement in zip(inside, Placement.of_rows(self.table.iloc[rows]), strict=True):
            mask[:] = placement.content(self.image_size)
        return inside


def store_key(
    table: pd.DataFrame,
    image_size: tuple[int, int],
    fit: Fit,
    version: int = FORMAT,
    named: Callable[[str], str] = os.path.abspath,
) -> str:
    """Digest of the files behind a table and of what is made of them; labels and splits do not change it.

    Args:
        table: One row per radiograph (`check_table`).
        image_size: (height, width) of fitted radiographs in pixels.
        fit: `squash` or `pad`.
        version: Version of the store's format.
        named: From a path of the table to the form that enters the digest; default: the absolute path, so that two
            folders with the same relative path get different keys.
    """
    digest = hashlib.sha256(json.dumps([version, list(image_size), fit]).encode())
    table = (table if "boxes" in table.columns else table.assign(boxes="")).sort_values("image")
    columns = (table[name] for name in ("image", "path", "lung", "opacity", "boxes"))
    for image, *paths, boxes in zip(*columns, strict=True):
        for path in paths:
            stat = os.stat(path) if path else None  # noqa: PTH116 - a `Path` of each takes longer than to ask the disk
            name = named(str(path)) if path else ""
            digest.update(repr((image, name, stat and (stat.st_size, stat.st_mtime_ns))).encode())
        if boxes:
            digest.update(repr((image, boxes)).encode())
    return digest.hexdigest()[:16]


def earlier_key(table: pd.DataFrame, image_size: tuple[int, int], fit: Fit, named: Callable[[str], str] = str) -> str:
    """The key that the version before gave the store of a table: of paths as they were typed.

    Args:
        table: See `open_store`.
        image_size: See `open_store`.
        fit: See `open_store`.
        named: From a path of the table to the one that was typed.
    """
    return store_key(table, image_size, fit, version=2, named=named)


def store_folder(table: pd.DataFrame, image_size: tuple[int, int], fit: Fit, cache: Path | None = None) -> Path:
    """Where the store of a table lies, or will; it is whole where the folder holds `store.json`.

    Args:
        table: See `open_store`.
        image_size: See `open_store`.
        fit: See `open_store`.
        cache: See `open_store`.
    """
    return (cache if cache is not None else cache_dir() / "stores") / store_key(table, image_size, fit)


def read_store(folder: Path, table: pd.DataFrame, on_error: OnError) -> Store:
    """Open a store that is there.

    Args:
        folder: Folder of the store (`store_folder`).
        table: The table that it was built of; labels and splits are taken from it.
        on_error: See `open_store`.

    Raises:
        DataError: It was built without files that cannot be read (`on_error=raise`).
        DamagedError: It is not whole, or not of this table.
    """
    about = read_about(folder)
    skipped = name_files(about["skipped"], table, absolute=False)
    if skipped and on_error == "raise":
        raise unreadable(skipped)
    numbers = dict.fromkeys(("top", "left", "fitted_height", "fitted_width", "height", "width"), float)
    measured = read_table(folder / "table.csv", {"image": str, **numbers}, GIB, dtype={"image": str})
    contents = read_contents(folder / FILE)
    if set(measured["image"]) | set(skipped) != set(table["image"]) or measured["image"].duplicated().any():
        raise DamagedError(f"{folder / 'table.csv'}: not the radiographs that the store was made of")
    # Labels and splits come from today's table: they are not part of the key.
    own = table.drop(columns=[name for name in measured.columns if name != "image"], errors="ignore")
    joined = measured.merge(own, on="image", how="left", validate="1:1")
    # The key holds the boxes: those of today's table are those that were drawn.
    kinds = ["boxes" if entry["boxes"] else "mask" if entry["opacity"] else "" for entry in entries_of(joined)]
    joined["truth"] = kinds
    shape = (len(measured), *about["image_size"])
    images, lung, opacity = (
        map_array(folder / f"{name}.npy", np.uint8, shape) for name in ("images", "lung", "opacity")
    )
    mark_used(folder)
    return Store(images, lung, opacity, joined, contents, skipped, folder)


def read_about(folder: Path) -> dict[str, Any]:
    """What `store.json` tells of a store.

    Args:
        folder: Folder of the store.

    Raises:
        DamagedError: It cannot be read, or something is missing in it.
    """
    file = folder / "store.json"
    about = read_json(
        file, {"skipped": dict, "image_size": list, "fit": str, "images": int, "source": str}, most=256 * MIB
    )
    size = about["image_size"]
    if len(size) != 2 or not all(isinstance(side, int) and side > 0 for side in size):
        raise DamagedError(f"{file}: image_size is {size}, expected height and width")
    return about


def remove_store(folder: Path) -> None:
    """Delete a store, whose lock the caller holds; whoever has it open keeps reading it until they close it (on POSIX).

    Args:
        folder: Folder of the store; may be absent.
    """
    gone = folder.with_suffix(".partial")
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(gone, ignore_errors=True)
        folder.rename(gone)  # one step: a store is either whole or not there
        shutil.rmtree(gone)


def mark_used(folder: Path) -> None:
    """Set the time of a store's last use, which `pneumo-ad store` shows; where it may not be set, it stays as it is.

    Args:
        folder: Folder of the store.
    """
    with suppress(OSError):
        os.utime(folder / "store.json")
