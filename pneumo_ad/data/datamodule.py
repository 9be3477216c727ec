"""Data module of an experiment: normal-lung patches for training, every window of some radiographs for validation."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import lightning as L
import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch.utils.data import DataLoader

from pneumo_ad.data.bank import BankOf, device_of_bank
from pneumo_ad.data.datasets import VAL_KINDS, NormalLungPatches, PatchBatch, PatchDataset, WholeRadiographs
from pneumo_ad.data.fit import Fit
from pneumo_ad.data.intensity import Intensity
from pneumo_ad.data.lung_fields import LungFields
from pneumo_ad.data.radiographs import Radiographs, View
from pneumo_ad.data.samplers import BatchLoader, EpochShuffle, ResumableLoader, Share
from pneumo_ad.data.store.build import OnError
from pneumo_ad.errors import ConfigError, DataError
from pneumo_ad.labels import NORMAL, PNEUMONIA
from pneumo_ad.patches import Cover

if TYPE_CHECKING:  # albumentations takes seconds to import and most runs do without it
    from pneumo_ad.data.augment import Augment


class PatchDataModule(L.LightningDataModule):
    """Lightning data module of `Radiographs`.

    Batches are `PatchBatch`: uint8 patches and their positions. Training uses normal-lung patches of the train
    patients; validation has three loaders (`VAL_KINDS`): normal-lung patches, and every window of some normal and some
    pneumonia radiographs of the val patients.

    Args:
        table: Table of radiographs (`sources`).
        image_size: See `Radiographs`.
        lungs: See `Radiographs`.
        fit: See `Radiographs`.
        patch: See `Radiographs`.
        stride: See `Radiographs`.
        cover: See `Radiographs`.
        halo: See `Radiographs`.
        intensity: See `Radiographs`.
        view: Input of the net: `patch` or `image`. With `image`, batches hold whole radiographs (`WholeRadiographs`),
            in training normal ones.
        augment: Augmentation of whole training radiographs, redrawn each epoch. Needs
            `Trainer(reload_dataloaders_every_n_epochs=1)`.
        batch_size: Patches in a batch, over all processes.
        per_epoch: Number of training patches drawn each epoch; None takes all.
        val_images: Number of radiographs of each class that validation scores, in all their windows.
        on_error: See `Radiographs`.
        seed: Seed of the order of batches and of the augmentation.
        num_workers: Worker processes that cut batches; 0 is fastest for small patches.
        bank: Storage of the radiographs that batches are cut from: `memory`; `device`, copied once to the training
            device; or `auto`, which is `device` on CUDA if they fit in half of its free memory.

    Attributes:
        radiographs: `Radiographs` that the batches are cut from.

    Raises:
        DataError: See `Radiographs`.
        ConfigError: Options that do not work together.
    """

    def __init__(
        self,
        table: pd.DataFrame,
        image_size: int | Sequence[int] = 256,
        *,
        lungs: LungFields,
        fit: Fit = "squash",
        patch: int = 32,
        stride: int = 20,
        cover: Cover = "inside",
        intensity: Intensity | None = None,
        view: View = "patch",
        augment: Augment | None = None,
        batch_size: int = 64,
        per_epoch: int | None = None,
        val_images: int = 12,
        on_error: OnError = "raise",
        seed: int = 0,
        num_workers: int = 0,
        bank: BankOf = "auto",
        halo: int = 0,
    ) -> None:
        super().__init__()
        if batch_size < 1 or val_images < 1:
            raise ConfigError(f"batch_size={batch_size} and val_images={val_images} must be at least 1")
        if bank not in ("auto", "memory", "device"):
            raise ConfigError(f"bank={bank} is not known; expected auto, memory or device")
        if bank == "device" and num_workers:
            raise ConfigError(
                f"bank=device cuts batches on the device that trains, num_workers={num_workers} in other processes: "
                "take bank=memory or datamodule.num_workers=0"
            )
        if bank == "device" and view == "image":
            raise ConfigError("bank=device cuts patches, and with view=image there are none: take bank=memory")
        self.radiographs = Radiographs(
            table,
            image_size,
            lungs=lungs,
            fit=fit,
            patch=patch,
            stride=stride,
            cover=cover,
            halo=halo,
            intensity=intensity,
            view=view,
            on_error=on_error,
        )
        self.augment = augment
        self.batch_size = batch_size
        self.per_epoch = per_epoch
        self.val_images = val_images
        self.seed = seed
        self.num_workers = num_workers
        self.bank: BankOf = "memory" if num_workers or view == "image" else bank

    def prepare_data(self) -> None:
        """Build the store, the lung fields and the grey levels, once per machine."""
        _ = self.radiographs.images

    def setup(self, stage: str | None = None) -> None:
        """Open what `prepare_data` built, and warn of radiographs without a lung field."""
        blind = self.radiographs.rows_without_lung()
        if len(blind):
            names = ", ".join(self.radiographs.store.table["image"].iloc[blind[:5]])
            warnings.warn(f"nothing to look at was found in {len(blind)} images, for example {names}", stacklevel=2)
        if stage == "fit":
            for split in ("train", "val"):
                self.radiographs.some_rows(split, NORMAL)
            self.check_processes(self._rank()[1])

    def train_dataloader(self) -> DataLoader[PatchBatch]:
        """Return normal-lung patches of the train patients, in a new order (and augmentation) each epoch."""
        rows = self.radiographs.some_rows("train", NORMAL)
        images, fields = self.radiographs.images, self.radiographs.lung_fields
        if self.augment is not None:
            epoch = self.trainer.current_epoch if self.trainer else 0
            seeds = np.random.SeedSequence((self.seed, epoch)).generate_state(len(rows))
            images, fields = self.augment.all(images[rows], fields[rows], seeds)
            rows = np.arange(len(rows))
        dataset = self._banked(self._normal_parts(images, fields, rows))
        rank, ranks = self._rank()
        shuffle = EpochShuffle(len(dataset), self.seed, self.per_epoch, rank, ranks)
        return ResumableLoader(dataset, self.batch_size // ranks, shuffle, self.num_workers)

    def val_dataloader(self) -> list[DataLoader[PatchBatch]]:
        """Return one loader per entry of `VAL_KINDS`; the loader of a class without radiographs is empty."""
        return [self._in_order(dataset) for dataset in self._parts("val", self.val_images)]

    def test_dataloader(self) -> list[DataLoader[PatchBatch]]:
        """Return loaders as `val_dataloader` does, of the test split and all of its radiographs."""
        return [self._in_order(dataset) for dataset in self._parts("test")]

    def check_processes(self, processes: int) -> None:
        """Check that the patches can be split among several processes.

        Raises:
            ConfigError: The number of processes does not divide the batch size; names the nearest sizes that it does.
            DataError: Fewer patches than processes.
        """
        if processes == 1:
            return
        if self.batch_size % processes:
            below = self.batch_size // processes * processes
            nearest = f"{below} or {below + processes}" if below else f"{processes}"
            raise ConfigError(
                f"batch_size={self.batch_size} is the batch of all processes together and cannot be split evenly "
                f"among {processes}; the nearest that can: {nearest}"
            )
        drawn = len(self._parts("train")[0])
        lengths = {"training": min(drawn, self.per_epoch or drawn)}
        held_out = self._parts("val", self.val_images)
        lengths |= {f"validation {kind}": len(part) for kind, part in zip(VAL_KINDS, held_out, strict=True)}
        for name, length in lengths.items():
            if 0 < length < processes:
                raise DataError(f"{processes} processes and only {length} {name} patches: take fewer devices")

    def _rank(self) -> tuple[int, int]:
        """Return the rank of this process, and the number of processes."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def _normal_parts(
        self, images: npt.NDArray[np.uint8], fields: npt.NDArray[np.uint8], rows: npt.NDArray[np.integer]
    ) -> PatchDataset | WholeRadiographs:
        """Return normal-lung patches, or with `view=image` normal radiographs."""
        data = self.radiographs
        if data.view == "image":
            return WholeRadiographs(images, rows, {"lung": fields})
        return NormalLungPatches(images, fields, rows, data.grid, data.halo)

    def _parts(self, split: str, images: int | None = None) -> list[PatchDataset | WholeRadiographs]:
        """Return datasets in the order of `VAL_KINDS`; the second and third hold at most `images` radiographs each."""
        data = self.radiographs
        everywhere = [data.exhaustive_patches(split, label, images) for label in (NORMAL, PNEUMONIA)]
        normal = self._normal_parts(data.images, data.lung_fields, data.some_rows(split, NORMAL))
        if data.view == "image":
            lungs = {"lung": data.lung_fields}
            return [normal, *(WholeRadiographs(data.images, patches.rows, lungs) for patches in everywhere)]
        return [normal, *everywhere]

    def _in_order(self, dataset: PatchDataset | WholeRadiographs) -> DataLoader[PatchBatch]:
        rank, ranks = self._rank()
        order = Share(len(dataset), rank, ranks)
        return BatchLoader(self._banked(dataset), self.batch_size // ranks, order, self.num_workers)

    def _banked(self, dataset: PatchDataset | WholeRadiographs) -> PatchDataset | WholeRadiographs:
        """Return the dataset, with its radiographs copied to the device if `bank` requires it."""
        if isinstance(dataset, PatchDataset) and self._bank_device is not None:
            dataset.to(self._bank_device)
        return dataset

    @cached_property
    def _bank_device(self) -> torch.device | None:
        """Device that stores the radiographs, None for memory; chosen once, before they take any of its memory."""
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        trained, held_out = (len(self.radiographs.rows(split, NORMAL)) for split in ("train", "val"))
        # Augmented radiographs are copied while those of the previous epoch are still on the device.
        count = trained * (1 if self.augment is None else 2) + held_out + 2 * self.val_images
        return device_of_bank(self.bank, device, count * int(np.prod(self.radiographs.grid.image_size)))
