"""Storage of the radiographs that batches are cut from: main memory, or the memory of the training device."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pneumo_ad.errors import ConfigError
from pneumo_ad.patches import gather, mirrored

BankOf = Literal["auto", "memory", "device"]
_AT_ONCE = 256  # radiographs copied to the device at a time


class MemoryBank:
    """Radiographs in memory or mapped from a file; nothing is copied before a patch is cut.

    Args:
        images: (N, H, W) uint8 grey levels.
        rows: (R,) int64 rows of `images` that the bank holds.
    """

    def __init__(self, images: npt.NDArray[np.uint8], rows: npt.NDArray[np.int64]) -> None:
        self.images = images
        self.rows = rows

    def cut(self, places: npt.NDArray[np.int64], patch: int, halo: int = 0) -> tuple[Tensor, Tensor]:
        """Cut a batch of patches.

        Args:
            places: (M, 3) int64: number of the row in the bank, top, left.
            patch: Side of a patch in pixels.
            halo: Pixels of context on every side, mirrored beyond the border; see `patches.gather`.

        Returns:
            Patches, (M, 1, p + 2 halo, p + 2 halo) uint8, and their places, (M, 3) int64: row of the images, top, left;
            both on the same device.
        """
        where = places.copy()
        where[:, 0] = self.rows[places[:, 0]]
        return torch.from_numpy(gather(self.images, where, patch, halo)), torch.from_numpy(where)


class DeviceBank:
    """Radiographs copied once to a device; only the places of a batch are transferred afterwards.

    Args:
        images: (N, H, W) uint8 grey levels, may be memory-mapped.
        rows: (R,) int64 rows of `images` to copy; the others are not copied.
        device: Torch device to copy them to.

    >>> images = np.arange(32, dtype=np.uint8).reshape(2, 4, 4)
    >>> patch, where = DeviceBank(images, np.array([1]), torch.device("cpu")).cut(np.array([[0, 2, 1]]), patch=2)
    >>> patch[0, 0].tolist(), where.tolist()
    ([[25, 26], [29, 30]], [[1, 2, 1]])
    """

    def __init__(self, images: npt.NDArray[np.uint8], rows: npt.NDArray[np.int64], device: torch.device) -> None:
        self.rows = rows
        self.images = torch.empty((len(rows), *images.shape[1:]), dtype=torch.uint8, device=device)
        for first in range(0, len(rows), _AT_ONCE):
            block = slice(first, first + _AT_ONCE)
            self.images[block] = torch.from_numpy(np.asarray(images[rows[block]]))

    def cut(self, places: npt.NDArray[np.int64], patch: int, halo: int = 0) -> tuple[Tensor, Tensor]:
        """See `MemoryBank`."""
        # One small asynchronous copy, (M, 4): row in the bank, row of the images, top, left.
        sent = torch.from_numpy(np.column_stack([places[:, 0], self.rows[places[:, 0]], places[:, 1:]]))
        sent = sent.to(self.images.device, non_blocking=True)
        which, _, top, left = sent.unbind(1)
        if not halo:
            windows = self.images.unfold(1, patch, 1).unfold(2, patch, 1)  # a view: (R, H-p+1, W-p+1, p, p)
            cut = windows[which, top, left]
        else:
            height, width = self.images.shape[1:]
            side = torch.arange(-halo, patch + halo, device=self.images.device)
            rows, columns = mirrored(top[:, None] + side, height), mirrored(left[:, None] + side, width)
            cut = self.images[which[:, None, None], rows[:, :, None], columns[:, None, :]]
        return cut[:, None], sent[:, 1:]


def device_of_bank(bank: BankOf, device: torch.device, nbytes: int) -> torch.device | None:
    """Choose the device of a bank; None for main memory.

    Args:
        bank: `device`, `memory`, or `auto`: on CUDA if the images take at most half of its free memory.
        device: Training device.
        nbytes: Size of the radiographs in bytes.

    Raises:
        ConfigError: `bank` is `device` and the radiographs do not fit.

    >>> device_of_bank("auto", torch.device("cpu"), 1)
    """
    if bank == "memory" or (bank == "auto" and device.type != "cuda"):
        return None
    if device.type != "cuda":
        return device
    free, _ = torch.cuda.mem_get_info(device)
    if bank == "device" and nbytes > free:
        raise ConfigError(
            f"bank=device: the images take {nbytes / 2**30:.1f} GiB and {free / 2**30:.1f} GiB are free on "
            f"{device}; bank=memory leaves them where they are"
        )
    return device if bank == "device" or nbytes <= free / 2 else None
