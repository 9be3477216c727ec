"""Store: decoded, resized radiographs and masks as memory-mapped uint8 on disk, built once, shared by every run.

A store is a folder `<cache>/stores/<key>` with `images.npy` (N, H, W), `lung.npy` and `opacity.npy` (N, H, W; 0 and 1;
holes for missing masks), `table.csv`, `files.csv` (`contents`) and `store.json`. Its key is a digest of the files
(absolute path, size, modification time), boxes, image size and fit. It is written to a temporary folder and renamed
when complete; a lock makes a second builder wait and then use the store of the first.
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
    """Open store: row i of every array and of the table is the same radiograph.

    Attributes:
        images: (N, H, W) uint8, memory-mapped, grey levels 0-255.
        lung: (N, H, W) uint8 lung masks of 0 and 1 from files; zeros where `table.has_lung` is false.
        opacity: (N, H, W) uint8 opacity masks of 0 and 1 from files or boxes; zeros where `table.has_opacity` is false.
        table: Table of the source for the images that could be read, with `height`, `width` (of the file),
            `window_low`, `window_high`, `top`, `left`, `fitted_height`, `fitted_width` (see `Placement`), `bytes` (of
            the image's file), and `truth`: "mask" or "boxes" if opacities are known from these, else "".
        contents: `image`, `kind`, `bytes` and `sha256` of each file when it was decoded, as text (`contents`).
        skipped: Name of a radiograph that was left out -> reason.
        folder: Folder of the store; its name is `key`.
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
        """Digest of the input, see `store_key`."""
        return self.folder.name

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of every image in pixels."""
        return self.images.shape[1], self.images.shape[2]

    def __len__(self) -> int:
        return len(self.images)

    def placement(self, row: int) -> Placement:
        """Return the placement of the radiograph of a row in its fitted image."""
        return Placement.of_rows(self.table.iloc[[row]])[0]

    def content(self, rows: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8]:
        """Return content masks, (len(rows), H, W) uint8: 1 on the radiograph, 0 on the padding."""
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
    """Compute the key of a store: digest of the files of a table, image size and fit, but not of labels and splits.

    Args:
        table: One row per radiograph (`check_table`).
        image_size: Height and width of fitted radiographs in pixels.
        fit: See `place`.
        version: Version of the store's format.
        named: Path in the table -> path in the digest; default: the absolute path, so that two folders with the same
            relative path get different keys.
    """
    digest = hashlib.sha256(json.dumps([version, list(image_size), fit]).encode())
    for entry in entries_of(table.sort_values("image")):
        image, boxes = entry["image"], entry["boxes"]
        for path in (entry["path"], entry["lung"], entry["opacity"]):
            stat = os.stat(path) if path else None  # noqa: PTH116 - making a `Path` takes longer than the system call
            name = named(str(path)) if path else ""
            digest.update(repr((image, name, stat and (stat.st_size, stat.st_mtime_ns))).encode())
        if boxes:
            digest.update(repr((image, boxes)).encode())
    return digest.hexdigest()[:16]


def earlier_key(table: pd.DataFrame, image_size: tuple[int, int], fit: Fit, named: Callable[[str], str] = str) -> str:
    """Compute the key of a table's store in the previous version: with paths as the user typed them.

    Args:
        table: See `open_store`.
        image_size: See `open_store`.
        fit: See `open_store`.
        named: Path in the table -> path that the user typed.
    """
    return store_key(table, image_size, fit, version=2, named=named)


def store_folder(table: pd.DataFrame, image_size: tuple[int, int], fit: Fit, cache: Path | None = None) -> Path:
    """Return the folder of a table's store, which may not exist yet; a complete store has a `store.json`.

    Args:
        table: See `open_store`.
        image_size: See `open_store`.
        fit: See `open_store`.
        cache: See `open_store`.
    """
    return (cache if cache is not None else cache_dir() / "stores") / store_key(table, image_size, fit)


def read_store(folder: Path, table: pd.DataFrame, on_error: OnError) -> Store:
    """Open an existing store.

    Args:
        folder: Folder of the store (`store_folder`).
        table: Table of the same radiographs; labels and splits are taken from it.
        on_error: See `open_store`.

    Raises:
        DataError: It was built without files that cannot be read (`on_error=raise`).
        DamagedError: It is incomplete or damaged, or not of this table.
    """
    about = read_about(folder)
    skipped = name_files(about["skipped"], table, absolute=False)
    if skipped and on_error == "raise":
        raise unreadable(skipped)
    numbers = dict.fromkeys(("top", "left", "fitted_height", "fitted_width", "height", "width"), float)
    measured = read_table(folder / "table.csv", {"image": str, **numbers}, GIB, dtype={"image": str})
    contents = read_contents(folder / FILE)
    if set(measured["image"]) | set(skipped) != set(table["image"]) or measured["image"].duplicated().any():
        raise DamagedError(f"{folder / 'table.csv'}: not the images that the store was made of")
    # Labels and splits are not part of the key, so they come from the present table.
    described = table.drop(columns=[name for name in measured.columns if name != "image"], errors="ignore")
    joined = measured.merge(described, on="image", how="left", validate="1:1")
    # Boxes are part of the key, so those of the present table are those that were drawn.
    joined["truth"] = ["boxes" if one["boxes"] else "mask" if one["opacity"] else "" for one in entries_of(joined)]
    shape = (len(measured), *about["image_size"])
    images, lung, opacity = (
        map_array(folder / f"{name}.npy", np.uint8, shape) for name in ("images", "lung", "opacity")
    )
    with suppress(OSError):  # time of last use, which `pneumo-ad store` shows; we may not be permitted to set it
        os.utime(folder / "store.json")
    return Store(images, lung, opacity, joined, contents, skipped, folder)


def read_about(folder: Path) -> dict[str, Any]:
    """Read the metadata of a store from `store.json`.

    Args:
        folder: Folder of the store.

    Raises:
        DamagedError: The file cannot be read, or lacks a key.
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
    """Delete a store; the caller holds its lock. On POSIX, processes that have it open can continue to read it.

    Args:
        folder: Folder of the store; may be absent.
    """
    gone = folder.with_suffix(".partial")
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(gone, ignore_errors=True)
        folder.rename(gone)  # atomic: a store is either complete or absent
        shutil.rmtree(gone)
