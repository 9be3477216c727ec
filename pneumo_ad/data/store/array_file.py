"""Writing of an array to disk row by row."""

from __future__ import annotations

import errno
import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pneumo_ad.errors import DataError


class ArrayFile:
    """Writer of an .npy file row by row, not memory-mapped: a full disk raises OSError instead of a bus error.

    Rows of missing masks are holes of the file: they read as zeros and take no space on the disk.

    Args:
        path: File to write.
        rows: Largest number of rows.
        shape: Height and width of a row in pixels.
    """

    def __init__(self, path: Path, rows: int, shape: tuple[int, int]) -> None:
        # Unbuffered: closing the file cannot fail on a pending write.
        self._file = path.open("wb", buffering=0)
        self._shape = shape
        self._written = 0
        self._header(rows)

    def __enter__(self) -> ArrayFile:
        return self

    def __exit__(self, *reason: object) -> None:
        self._file.close()

    def _header(self, rows: int) -> None:
        # numpy pads the header so that the first axis may grow or shrink in place.
        header = {"descr": "|u1", "fortran_order": False, "shape": (rows, *self._shape)}
        buffer = io.BytesIO()
        np.lib.format.write_array_header_1_0(buffer, header)
        self._all(buffer.getbuffer())

    def _all(self, content: memoryview) -> None:
        while content:  # an unbuffered write may stop in the middle
            content = content[self._file.write(content) :]

    def write(self, row: npt.NDArray[np.uint8] | None) -> None:
        """Write a row, (H, W) uint8; None leaves a hole."""
        if row is None:
            self._file.seek(self._shape[0] * self._shape[1], os.SEEK_CUR)
        else:
            self._all(np.ascontiguousarray(row).data.cast("B"))
        self._written += 1

    def finish(self) -> None:
        """Write the number of rows to the header, and flush the file to disk."""
        end = self._file.truncate()  # extends the file over a hole at its end
        self._file.seek(0)
        self._header(self._written)
        assert end == self._file.tell() + self._written * self._shape[0] * self._shape[1]
        os.fsync(self._file.fileno())


@contextmanager
def full_disk_named(folder: Path) -> Iterator[None]:
    """Convert the system's error about a full disk to a `DataError` that says what to do.

    Args:
        folder: Folder on that disk, named in the message.

    Raises:
        DataError: The disk is full.
    """
    try:
        yield
    except OSError as reason:
        if reason.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise DataError(
            f"the disk of {folder} is full ({reason.strerror}); nothing was kept. Clear stores with "
            "`pneumo-ad store clear=all` or set PNEUMO_AD_CACHE to a larger disk"
        ) from reason


@contextmanager
def whole_folder(folder: Path, needed: int) -> Iterator[Path]:
    """Yield a temporary folder, renamed to `folder` after the block, deleted if the block fails.

    Args:
        folder: Folder of a store, or of a part of one; the caller holds its lock.
        needed: Size of the store in bytes.

    Raises:
        DataError: There is no room for it on the disk.
    """
    aside = folder.with_suffix(".partial")
    shutil.rmtree(aside, ignore_errors=True)  # of a killed process: no other writes to it, as the caller has the lock
    free = shutil.disk_usage(folder.parent).free
    if needed > free:
        raise DataError(
            f"the store needs {needed / 2**20:.0f} MiB and {folder.parent} has {free / 2**20:.0f} MiB free; "
            "clear stores with `pneumo-ad store clear=all` or set PNEUMO_AD_CACHE to a larger disk"
        )
    try:
        with full_disk_named(folder.parent):
            aside.mkdir()
            yield aside
            aside.rename(folder)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def bytes_on_disk(folder: Path) -> int:
    """Compute the bytes that the files of a folder take on disk, without holes if the system reports blocks.

    Args:
        folder: Folder of a store, or of a part of one.
    """
    stats = []
    with suppress(FileNotFoundError):  # the folder was deleted meanwhile
        for file in folder.iterdir():
            with suppress(FileNotFoundError):
                stats.append(file.lstat())
    return sum(stat.st_blocks * 512 if hasattr(stat, "st_blocks") else stat.st_size for stat in stats)
