"""Torch datasets of patches: indices over shared images; nothing is copied until a batch is cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NotRequired, Self, TypedDict

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from pneumo_ad.data.bank import DeviceBank, MemoryBank
from pneumo_ad.errors import DataError
from pneumo_ad.patches import PatchGrid, PatchIndex, largest_patch_inside

if TYPE_CHECKING:  # albumentations takes seconds to import
    from pneumo_ad.data.augment import Augment

_CHUNK = 16  # images whose integral images are in memory at once; more are no faster


class PatchBatch(TypedDict):
    """Batch of patches and their places."""

    patch: Tensor  # (B, 1, p, p) uint8, grey levels 0-255; side p + 2 halo with a halo
    where: Tensor  # (B, 3) int64: row of the dataset's images (with augmentation: of the train radiographs), top, left
    lung: NotRequired[Tensor]  # (B, 1, H, W) uint8 of 0 and 1, with whole radiographs
    pneumonia: NotRequired[Tensor]  # (B,) bool, with whole radiographs for classification


class PatchDataset(Dataset[PatchBatch]):
    """Windows of some images, chosen by a `PatchIndex`.

    `dataset[i]` is one sample without batch axis; `dataset.cut(numbers)` cuts a whole batch at once, as `BatchLoader`
    and `DataLoader(..., collate_fn=already_a_batch)` do by themselves.

    Args:
        images: (N, H, W) uint8 grey levels, may be memory-mapped.
        rows: (R,) rows of `images`; the index counts in these.
        index: Chosen windows.
        halo: Pixels of context on every side of a window, mirrored at the border.

    Attributes:
        bank: Storage of the radiographs, see `to`.
    """

    def __init__(
        self, images: npt.NDArray[np.uint8], rows: npt.NDArray[np.integer], index: PatchIndex, halo: int = 0
    ) -> None:
        self.images = images
        self.halo = halo
        self.rows = np.asarray(rows, dtype=np.int64)
        self.index = index
        self.bank: MemoryBank | DeviceBank = MemoryBank(images, self.rows)

    def to(self, device: torch.device) -> Self:
        """Copy the radiographs to a device once; batches are cut there from now on."""
        self.bank = DeviceBank(self.images, self.rows, device)
        return self

    @property
    def grid(self) -> PatchGrid:
        """Geometry of the windows."""
        return self.index.grid

    def __len__(self) -> int:
        return len(self.index)

    def cut(self, numbers: Sequence[int] | npt.NDArray[np.integer]) -> PatchBatch:
        """Cut the windows of some numbers in one vectorised read.

        Raises:
            IndexError: A number outside [0, len).
        """
        patch, where = self.bank.cut(self.index.locate(np.asarray(numbers)), self.grid.patch, self.halo)
        return {"patch": patch, "where": where}

    def __getitems__(self, numbers: Sequence[int]) -> PatchBatch:
        return self.cut(numbers)

    def __getitem__(self, number: int) -> PatchBatch:
        batch = self.cut([range(len(self))[number]])  # range: negative numbers and IndexError as in a list
        return {"patch": batch["patch"][0], "where": batch["where"][0]}


class ExhaustivePatches(PatchDataset):
    """Every window of the given rows, row by row (the paper's § 3.5).

    Args:
        images: (N, H, W) uint8 grey levels, may be memory-mapped.
        rows: (R,) rows of `images`.
        grid: Geometry of the windows.
        halo: See `PatchDataset`.

    >>> images = np.zeros((2, 256, 256), dtype=np.uint8)
    >>> len(ExhaustivePatches(images, np.array([1]), PatchGrid((256, 256), patch=32, stride=20)))
    144
    """

    def __init__(
        self, images: npt.NDArray[np.uint8], rows: npt.NDArray[np.integer], grid: PatchGrid, halo: int = 0
    ) -> None:
        super().__init__(images, rows, PatchIndex.every(grid, len(rows)), halo)


class NormalLungPatches(PatchDataset):
    """Windows that hold no background pixel, that is, lie wholly inside the lung field (the paper's § 3.4).

    Args:
        images: (N, H, W) uint8 grey levels.
        lung_fields: (N, H, W) uint8 of 0 and 1.
        rows: (R,) rows of `images` to take windows from.
        grid: Candidate windows.
        halo: See `PatchDataset`; the halo may lie outside the lung.

    Raises:
        DataError: No window fits into any lung field; names the largest patch that would.
    """

    def __init__(
        self,
        images: npt.NDArray[np.uint8],
        lung_fields: npt.NDArray[np.uint8],
        rows: npt.NDArray[np.integer],
        grid: PatchGrid,
        halo: int = 0,
    ) -> None:
        rows = np.asarray(rows)
        parts = [
            PatchIndex.where(grid, grid.window_sums(lung_fields[rows[first : first + _CHUNK]]) == grid.patch**2, first)
            for first in range(0, len(rows), _CHUNK)
        ]
        if not parts:
            raise DataError("no normal image to take patches from")
        super().__init__(images, rows, PatchIndex.join(parts), halo)
        if not len(self):
            fields = lung_fields[rows].astype(bool)
            anywhere = largest_patch_inside(fields)
            if not anywhere:
                raise DataError(f"lungs= found nothing in any of {len(rows)} normal images; look at the fields")
            here = largest_patch_inside(fields, grid.stride)
            at_stride = f"{here} at stride {grid.stride}, " if here else ""
            height, width = grid.image_size
            raise DataError(
                f"no window of {grid.patch} x {grid.patch} pixels lies wholly inside the fields of {len(rows)} normal "
                f"images of {height} x {width}; the largest patch that fits is {at_stride}{anywhere} "
                "at stride 1: take a smaller patch or stride, or larger images"
            )


class WholeRadiographs(Dataset[PatchBatch]):
    """Whole radiographs, each with its targets, for nets whose input is a whole radiograph.

    Args:
        images: (N, H, W) uint8 grey levels, may be memory-mapped.
        rows: (R,) rows of `images` to take.
        targets: Name in the batch -> array with a row for each image: (N, H, W) masks or (N,) values.
        augment: Augmentation of image and `lung`; number `epoch * R + i` is then radiograph i of that epoch.
        seed: Seed of the augmentation.
    """

    def __init__(
        self,
        images: npt.NDArray[np.uint8],
        rows: npt.NDArray[np.integer],
        targets: Mapping[str, npt.NDArray[np.generic]],
        augment: Augment | None = None,
        seed: int = 0,
    ) -> None:
        self.images = images
        self.rows = np.asarray(rows, dtype=np.int64)
        self.targets = targets
        self.augment = augment
        self.seed = seed

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, numbers: Sequence[int]) -> PatchBatch:
        rows = self.rows[np.asarray(numbers) % len(self)]
        arrays: dict[str, npt.NDArray[Any]] = {"patch": self.images, **self.targets}
        chosen = {name: np.asarray(array[rows]) for name, array in arrays.items()}
        if self.augment is not None:
            seeds = [int(np.random.SeedSequence([self.seed, int(n)]).generate_state(1)[0]) for n in numbers]
            chosen["patch"], chosen["lung"] = self.augment.all(chosen["patch"], chosen["lung"], seeds)
        chosen["where"] = np.stack([rows, 0 * rows, 0 * rows], axis=1)
        batch = {name: torch.from_numpy(array) for name, array in chosen.items()}
        return {name: x[:, None] if x.ndim == 3 else x for name, x in batch.items()}  # type: ignore[return-value]

    def __getitem__(self, number: int) -> PatchBatch:
        batch = self.__getitems__([range(len(self))[number]])
        return {key: value[0] for key, value in batch.items()}  # type: ignore[return-value, index]


def already_a_batch(batch: Any) -> Any:
    """Return the batch of `__getitems__` unchanged: collate function for datasets that cut whole batches."""
    return batch


# Names of the loaders of `val_dataloader`, in this order.
VAL_KINDS = ("normal_lung", "normal", "pneumonia")
