"""Arrays cached beside a store, such as lung fields."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from filelock import FileLock

from pneumo_ad.data.store.array_file import ArrayFile, full_disk_named
from pneumo_ad.errors import DamagedError, DataError
from pneumo_ad.saved import is_there, map_array

if TYPE_CHECKING:
    from pneumo_ad.data.store.store import Store

log = logging.getLogger(__name__)


@contextmanager
def _cleared_named(folder: Path) -> Iterator[None]:
    """Say that a store was cleared, where a file cannot be written because its folder is gone."""
    try:
        yield
    except FileNotFoundError as reason:
        if folder.is_dir():
            raise
        raise DataError(f"{folder}: the store was cleared while in use; the same command builds it again") from reason


def cached_array(
    store: Store,
    name: str,
    compute: Callable[[], Iterable[npt.NDArray[np.uint8]]],
    shape: tuple[int, int, int] | None = None,
) -> npt.NDArray[np.uint8]:
    """Read an array cached beside a store (for example lung fields); compute it if it is missing or damaged.

    It is written to a temporary file and renamed when complete.

    Args:
        store: Store that the array belongs to.
        name: File name without suffix; must differ for all that changes the result.
        compute: Function that returns the rows, each (H, W) uint8: an array, or an iterator to bound memory.
        shape: Rows, height and width of the array; default: those of the store's images.

    Returns:
        (N, H, W) uint8, memory-mapped.

    Raises:
        DataError: The disk is full, or the store was cleared meanwhile.
    """
    path = store.folder / f"{name}.npy"
    rows, *size = shape or (len(store), *store.image_size)
    expected = (np.uint8, (rows, *size))
    try:
        if is_there(path):
            return map_array(path, *expected)
    except DamagedError as reason:
        log.warning("%s: it is recomputed", reason)
    with _cleared_named(store.folder), FileLock(f"{path}.lock"):
        try:
            return map_array(path, *expected)  # another process made it while we waited
        except DamagedError:
            if path.is_dir():  # a file cannot be renamed to a folder's name
                shutil.rmtree(path)
        aside = path.with_suffix(".partial")
        try:
            with full_disk_named(path.parent), ArrayFile(aside, rows, (size[0], size[1])) as file:
                for row in compute():
                    file.write(row)
                file.finish()
            aside.rename(path)
        finally:
            aside.unlink(missing_ok=True)
    return map_array(path, *expected)
