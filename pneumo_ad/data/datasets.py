"""Patches of radiographs as torch datasets: indices over shared images, nothing copied until a batch is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NotRequired, Self, TypedDict

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from pneumo_ad.data.bank import Bank, DeviceBank, MemoryBank
from pneumo_ad.errors import DataError
from pneumo_ad.patches import PatchGrid, PatchIndex, largest_patch_inside

if TYPE_CHECKING:  # albumentations takes seconds to import
    from pneumo_ad.data.augment import Augment

_CHUNK = 16  # images whose integral images are held at once; more are no faster


class PatchBatch(TypedDict):
    """A batch of patches and where they come from."""

    patch: Tensor  # (B, 1, p, p) uint8, grey levels 0-255; p + 2 halo wide where there is one
    where: Tensor  # (B, 3) int64: row of the dataset's images, top, left; with augmentation these are the train rows
    lung: NotRequired[Tensor]  # (B, 1, H, W) uint8 of 0 and 1, with whole radiographs
    pneumonia: NotRequired[Tensor]  # (B,) bool, with whole radiographs that are to be classified


class PatchDataset(Dataset[PatchBatch]):
    """Windows of some images, chosen by a `PatchIndex`.

    `dataset[i]` is one sample without batch axis; `dataset.cut(numbers)` cuts a whole batch at once, as `BatchLoader`
    and `DataLoader(..., collate_fn=already_a_batch)` do by themselves.

    Args:
        images: (N, H, W) uint8, may be memory-mapped.
        rows: (R,) rows of `images`; the index counts in these.
        index: Windows chosen.
        halo: Pixels of surroundings that are cut with them on every side, mirrored at the border.

    Attributes:
        bank: Where the radiographs lie; see `to`.
    """

    def __init__(
        self, images: npt.NDArray[np.uint8], rows: npt.NDArray[np.integer], index: PatchIndex, halo: int = 0
    ) -> None:
        self.images = images
        self.halo = halo
        self.rows = np.asarray(rows, dtype=np.int64)
        self.index = index
        self.bank: Bank = MemoryBank(images, self.rows)

    def to(self, device: torch.device) -> Self:
        """Copy its radiographs to a device once; batches are cut there from now on."""
        self.bank = DeviceBank(self.images, self.rows, device)
        return self

    @property
    def grid(self) -> PatchGrid:
        """Geometry of the windows."""
        return self.index.grid

    def __len__(self) -> int:
        return len(self.index)

    def cut(self, numbers: Sequence[int] | npt.NDArray[np.integer]) -> PatchBatch:
        """Cut the windows of these numbers: one vectorised read.

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
        images: (N, H, W) uint8, memory-mapped or not.
        rows: (I,) which of them.
        grid: Where the windows lie.
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
        images: (N, H, W) uint8.
        lung_fields: (N, H, W) of 0 and 1.
        rows: (R,) rows to take windows from.
        grid: Candidate windows.
        halo: See `PatchDataset`; what it shows may lie outside the lung.

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
        parts = []
        for first in range(0, len(rows), _CHUNK):
            inside = grid.window_sums(lung_fields[rows[first : first + _CHUNK]]) == grid.patch**2
            parts.append(PatchIndex.where(grid, inside, first))
        if not parts:
            raise DataError("no normal radiograph to take lung patches from")
        super().__init__(images, rows, PatchIndex.join(parts), halo)
        if not len(self):
            fields = lung_fields[rows].astype(bool)
            anywhere = largest_patch_inside(fields)
            if not anywhere:
                raise DataError(f"no lung was found in any of {len(rows)} normal radiographs; look at the lung fields")
            here = largest_patch_inside(fields, grid.stride)
            at_stride = f"{here} at stride {grid.stride}, " if here else ""
            height, width = grid.image_size
            raise DataError(
                f"no window of {grid.patch} x {grid.patch} pixels lies wholly inside a lung field of {len(rows)} "
                f"normal radiographs of {height} x {width}; the largest patch that fits is {at_stride}{anywhere} "
                "at stride 1: take a smaller patch or stride, or larger images"
            )


class WholeRadiographs(Dataset[PatchBatch]):
    """Radiographs uncut, each with its targets, for nets that see all of one.

    Args:
        images: (N, H, W) uint8, may be memory-mapped.
        rows: (R,) rows to take.
        targets: By name in the batch, an array with a row for each image: (N, H, W) masks or (N,) values.
        augment: Augmentation of image and `lung`; number `epoch * R + i` is then radiograph i as it is in that epoch.
        seed: Fixes the augmentation.
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
        found = {name: np.asarray(array[rows]) for name, array in arrays.items()}
        if self.augment is not None:
            seeds = [np.random.SeedSequence([self.seed, int(number)]).generate_state(1)[0] for number in numbers]
            each = zip(found["patch"], found["lung"], map(int, seeds), strict=True)
            drawn = [self.augment(*one) for one in each]
            found["patch"], found["lung"] = (np.stack(kind) for kind in zip(*drawn, strict=True))
        found["where"] = np.stack([rows, 0 * rows, 0 * rows], axis=1)
        batch = {name: torch.from_numpy(array) for name, array in found.items()}
        return {name: one[:, None] if one.ndim == 3 else one for name, one in batch.items()}  # type: ignore[return-value]

    def __getitem__(self, number: int) -> PatchBatch:
        batch = self.__getitems__([range(len(self))[number]])
        return {key: value[0] for key, value in batch.items()}  # type: ignore[return-value, index]


def already_a_batch(batch: Any) -> Any:
    """Collate function for datasets that cut whole batches: what `__getitems__` returned, as it is."""
    return batch


# What `val_dataloader` returns, in this order.
VAL_KINDS = ("normal_lung", "normal", "pneumonia")
