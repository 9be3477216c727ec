"""The data of an experiment: normal-lung patches to train on, every window of the others to look at."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Literal

import lightning as L
import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch.utils.data import DataLoader

from pneumo_ad.data.bank import BankOf, device_of_bank
from pneumo_ad.data.datasets import (
    VAL_KINDS,
    ExhaustivePatches,
    NormalLungPatches,
    PatchBatch,
    PatchDataset,
    WholeRadiographs,
)
from pneumo_ad.data.evenly_spaced import evenly_spaced
from pneumo_ad.data.fit import Fit, sides
from pneumo_ad.data.intensity import AsStored, Intensity
from pneumo_ad.data.lung_fields import LungFields, WholeImage
from pneumo_ad.data.samplers import BatchLoader, EpochShuffle, ResumableLoader, Share
from pneumo_ad.data.sources.table import check_table, warn_of_undealt
from pneumo_ad.data.store.build import OnError
from pneumo_ad.data.store.opening import as_it_is, open_store
from pneumo_ad.data.store.store import Store
from pneumo_ad.data.truth import PixelTruth
from pneumo_ad.errors import ConfigError, DataError, printable
from pneumo_ad.labels import NORMAL, PNEUMONIA, SPLITS
from pneumo_ad.patches import Cover, PatchGrid, check_halo

if TYPE_CHECKING:  # albumentations takes seconds to import and most runs do without it
    from pneumo_ad.data.augment import Augment

View = Literal["patch", "image"]


def _some(skipped: dict[str, str]) -> str:
    return "; ".join(map(printable, list(skipped.values())[:3])) + ("; ..." if len(skipped) > 3 else "")


class PatchDataModule(L.LightningDataModule):
    """Opens the store and the lung fields of a table and cuts patches from it.

    Batches are `PatchBatch`: uint8 patches and where they come from. Training sees normal-lung patches of the train
    patients; validation has three loaders (`VAL_KINDS`): normal-lung patches, and every window of some normal and some
    pneumonia radiographs of the val patients.

    Args:
        table: A table of radiographs (`sources`).
        image_size: Side, or height and width, of the fitted radiographs in pixels.
        lungs: Lung fields of a store, for example `pneumo_ad.lungs.AutoFields()`: mask files where there are any,
            else the segmenter.
        fit: `squash` or `pad`.
        patch: Side of a patch in pixels.
        stride: Pixels from one window to the next.
        cover: `inside` leaves an uncovered border, `full` adds windows flush to it.
        halo: Pixels of surroundings on every side of a patch that batches hold too, mirrored at the border.
        intensity: Makes grey levels comparable; default: as stored.
        view: What the net sees: `patch`, or `image`: training and validation then have whole radiographs
            (`WholeRadiographs`), normal ones to train on.
        augment: Augmentation of whole training radiographs, new each epoch. Needs
            `Trainer(reload_dataloaders_every_n_epochs=1)`.
        batch_size: Patches in a batch, of all processes together.
        per_epoch: Training patches drawn each epoch; None takes all.
        val_images: Radiographs of each class whose windows are all scored in each validation.
        on_error: `raise` or `skip` files that cannot be read.
        seed: Fixes the order of batches.
        num_workers: Processes that cut batches; 0 is fastest for patches of this size.
        bank: Where the radiographs lie that batches are cut from: `memory`; `device`, copied once to the device that
            trains; or `auto`, which is `device` on CUDA where they take at most half of the memory that is free there.

    Raises:
        DataError: See `check_table`, `open_store`, `NormalLungPatches`; also a class or split without a
            radiograph.
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
        if view not in ("patch", "image"):
            raise ConfigError(f"view={view} is not known; expected patch or image")
        if bank not in ("auto", "memory", "device"):
            raise ConfigError(f"bank={bank} is not known; expected auto, memory or device")
        if bank == "device" and num_workers:
            raise ConfigError(
                f"bank=device cuts batches on the device that trains, num_workers={num_workers} in other processes: "
                "take bank=memory or datamodule.num_workers=0"
            )
        if bank == "device" and view == "image":
            raise ConfigError("bank=device cuts patches, and with view=image there are none: take bank=memory")
        self.grid = PatchGrid(sides(image_size), patch, stride, cover)
        check_halo(halo, self.grid.image_size)
        if halo and view == "image":
            raise ConfigError(f"halo={halo} has no effect with view=image: the net sees whole radiographs; halo=0")
        self.halo = halo
        self.table = check_table(table)
        self.fit: Fit = fit
        self.lungs = lungs
        self.intensity = intensity if intensity is not None else AsStored()
        self.view: View = view
        self.augment = augment
        self.batch_size = batch_size
        self.per_epoch = per_epoch
        self.val_images = val_images
        self.on_error: OnError = on_error
        self.seed = seed
        self.num_workers = num_workers
        self.bank: BankOf = "memory" if num_workers or view == "image" else bank
        self.skipped: dict[str, str] = {}  # name -> reason, known once the store is open
        self.opened: Callable[[Callable[[], Store]], Store] = as_it_is  # what opens the store; see `origin`
        self._store: Store | None = None
        self._lung_fields: npt.NDArray[np.uint8] | None = None
        self._images: npt.NDArray[np.uint8] | None = None

    @property
    def store(self) -> Store:
        """The open store; opened, or built, at first use."""
        if self._store is None:
            given = (self.table, self.grid.image_size, self.fit, self.on_error)
            self._store = self.opened(partial(open_store, *given))
            small = self._too_small(self._store)
            self.skipped = self._store.skipped | small
            if small and self.on_error == "raise":
                raise DataError(
                    f"{len(small)} radiographs cannot be used (on_error=skip leaves them out): {_some(small)}"
                )
            if self.skipped:
                warnings.warn(f"{len(self.skipped)} radiographs were skipped: {_some(self.skipped)}", stacklevel=2)
            warn_of_undealt(self._store.table)
        return self._store

    def _too_small(self, store: Store) -> dict[str, str]:
        """Radiographs smaller than a patch: enlarged, they would show nothing but interpolation."""
        table = store.table[store.table[["height", "width"]].min(axis=1) < self.grid.patch]
        return {
            str(row["image"]): f"{row['path']}: {row['height']} x {row['width']} pixels, smaller than a patch of "
            f"{self.grid.patch}"
            for _, row in table.iterrows()
        }

    @property
    def lung_fields(self) -> npt.NDArray[np.uint8]:
        """(N, H, W) of 0 and 1, row by row as in the store; computed at first use."""
        if self._lung_fields is None:
            self._lung_fields = self.lungs(self.store)
        return self._lung_fields

    @property
    def images(self) -> npt.NDArray[np.uint8]:
        """(N, H, W) uint8 grey levels as nets see them, row by row as in the store; computed at first use."""
        if self._images is None:
            self._images = self.intensity(self.store, self.lung_fields)
        return self._images

    def content(self, rows: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8]:
        """(len(rows), H, W) of 0 and 1: what is radiograph and not padding."""
        return self.store.content(rows)

    @property
    def truth(self) -> PixelTruth:
        """What is known of the pixels; with the lungs not looked for (`WholeImage`), of lungs only what files tell."""
        return PixelTruth(self.store, None if isinstance(self.lungs, WholeImage) else self.lung_fields)

    def rows(self, split: str | None, label: str | None = None) -> npt.NDArray[np.int64]:
        """Rows of the store in a split (None: any), of one label or of all; without those skipped or `UNDEALT`."""
        table = self.store.table
        chosen = (~table["image"].isin(list(self.skipped)) & table["split"].isin(SPLITS)).to_numpy()
        for column, wanted in (("split", split), ("label", label)):
            if wanted is not None:
                chosen = chosen & (table[column] == wanted).to_numpy()
        return np.flatnonzero(chosen)

    def rows_without_lung(self) -> npt.NDArray[np.int64]:
        """Rows in whose radiograph no lung was found."""
        return np.flatnonzero([not field.any() for field in self.lung_fields])  # one by one: none is kept

    def prepare_data(self) -> None:
        """Build the store, the lung fields and the grey levels, once per machine."""
        _ = self.images

    def setup(self, stage: str | None = None) -> None:
        """Open what `prepare_data` built and say what is missing."""
        blind = self.rows_without_lung()
        if len(blind):
            names = ", ".join(self.store.table["image"].iloc[blind[:5]])
            warnings.warn(f"no lung was found in {len(blind)} radiographs, for example {names}", stacklevel=2)
        if stage == "fit":
            for split in ("train", "val"):
                self._some_rows(split, NORMAL)
            self.check_processes(self._rank()[1])

    def _some_rows(self, split: str, label: str) -> npt.NDArray[np.int64]:
        rows = self.rows(split, label)
        if not len(rows):
            table = self.store.table
            counts = (table["split"] + "/" + table["label"]).value_counts(sort=False)
            counted = ", ".join(f"{name}: {count}" for name, count in counts.items())
            raise DataError(f"no {label} radiograph in the {split} split; there are {counted}")
        return rows

    def normal_lung_patches(self, split: str) -> NormalLungPatches:
        """Patches wholly inside the lungs of a split's normal radiographs."""
        return NormalLungPatches(self.images, self.lung_fields, self._some_rows(split, NORMAL), self.grid, self.halo)

    def exhaustive_patches(self, split: str, label: str, images: int | None = None) -> ExhaustivePatches:
        """Every window of a split's radiographs of one label, of at most `images` of them, evenly chosen."""
        rows = self.rows(split, label)
        if images is not None:
            rows = rows[evenly_spaced(len(rows), images)]
        return ExhaustivePatches(self.images, rows, self.grid, self.halo)

    def train_dataloader(self) -> DataLoader[PatchBatch]:
        """Normal-lung patches of the train patients, in a new order (and augmentation) each epoch."""
        rows = self._some_rows("train", NORMAL)
        images, fields = self.images, self.lung_fields
        if self.augment is not None:
            epoch = self.trainer.current_epoch if self.trainer else 0
            images, fields = self.augment.all(images[rows], fields[rows], (self.seed, epoch))
            rows = np.arange(len(rows))
        dataset = self._banked(self._normal_parts(images, fields, rows))
        rank, ranks = self._rank()
        shuffle = EpochShuffle(len(dataset), self.seed, self.per_epoch, rank, ranks)
        return ResumableLoader(dataset, self.batch_size // ranks, shuffle, self.num_workers)

    def val_dataloader(self) -> list[DataLoader[PatchBatch]]:
        """One loader per entry of `VAL_KINDS`; that of a class without a radiograph is empty."""
        return [self._in_order(part) for part in self._parts("val", self.val_images)]

    def test_dataloader(self) -> list[DataLoader[PatchBatch]]:
        """As `val_dataloader`, every window of every test radiograph."""
        return [self._in_order(part) for part in self._parts("test")]

    def check_processes(self, processes: int) -> None:
        """See that the training's patches go round among several processes.

        Raises:
            ConfigError: A batch that cannot be dealt out evenly; names the nearest that can.
            DataError: Fewer patches than processes.
        """
        if processes == 1:
            return
        if self.batch_size % processes:
            below, above = (self.batch_size // processes + i for i in (0, 1))
            nearest = f"{below * processes} or {above * processes}" if below else f"{above * processes}"
            raise ConfigError(
                f"batch_size={self.batch_size} is the batch of all processes together and cannot be dealt out evenly "
                f"to {processes}; the nearest that can: {nearest}"
            )
        rows = self._some_rows("train", NORMAL)
        drawn = len(self._normal_parts(self.images, self.lung_fields, rows))
        parts = {"training": min(drawn, self.per_epoch or drawn)}
        parts |= {
            f"validation {kind}": len(part)
            for kind, part in zip(VAL_KINDS, self._parts("val", self.val_images), strict=True)
        }
        for name, length in parts.items():
            if 0 < length < processes:
                raise DataError(f"{processes} processes and only {length} {name} patches: take fewer devices")

    def _rank(self) -> tuple[int, int]:
        """Which process this is, and of how many."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def _normal_parts(
        self, images: npt.NDArray[np.uint8], fields: npt.NDArray[np.uint8], rows: npt.NDArray[np.integer]
    ) -> PatchDataset | WholeRadiographs:
        """What is to be learnt: normal-lung patches, or the radiographs they are of."""
        if self.view == "image":
            return WholeRadiographs(images, fields, rows)
        return NormalLungPatches(images, fields, rows, self.grid, self.halo)

    def _parts(self, split: str, images: int | None = None) -> list[PatchDataset | WholeRadiographs]:
        """By `VAL_KINDS`; of the latter two at most `images` radiographs."""
        everywhere = [self.exhaustive_patches(split, label, images) for label in (NORMAL, PNEUMONIA)]
        normal = self._normal_parts(self.images, self.lung_fields, self._some_rows(split, NORMAL))
        if self.view == "image":
            whole = (WholeRadiographs(self.images, self.lung_fields, part.rows) for part in everywhere)
            return [normal, *whole]
        return [normal, *everywhere]

    def _in_order(self, dataset: PatchDataset | WholeRadiographs) -> DataLoader[PatchBatch]:
        rank, ranks = self._rank()
        order = Share(len(dataset), rank, ranks)
        return BatchLoader(self._banked(dataset), self.batch_size // ranks, order, self.num_workers)

    def _banked(self, dataset: PatchDataset | WholeRadiographs) -> PatchDataset | WholeRadiographs:
        """Its radiographs where `bank` wants them."""
        if isinstance(dataset, PatchDataset) and self._bank_device is not None:
            dataset.to(self._bank_device)
        return dataset

    @cached_property
    def _bank_device(self) -> torch.device | None:
        """Where the radiographs go that are not cut in memory; decided once, while nothing of them is there yet."""
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        trained, held_out = (len(self.rows(split, NORMAL)) for split in ("train", "val"))
        # Augmented radiographs come while those of the epoch before still lie there.
        count = trained * (1 if self.augment is None else 2) + held_out + 2 * self.val_images
        return device_of_bank(self.bank, device, count * int(np.prod(self.grid.image_size)))
