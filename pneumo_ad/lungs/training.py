"""Training of the lung segmenter: its data and its LightningModule."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property, partial
from typing import TYPE_CHECKING

import lightning as L
import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from pneumo_ad.data.samplers import EpochShuffle
from pneumo_ad.data.store.build import OnError
from pneumo_ad.data.store.opening import as_it_is, open_store
from pneumo_ad.data.store.store import Store
from pneumo_ad.errors import DataError
from pneumo_ad.lungs.segmenter import LungSegmenter

if TYPE_CHECKING:
    from pneumo_ad.data.augment import Augment

Pair = tuple[Tensor, Tensor]


class RadiographsWithLungs(Dataset[Pair]):
    """Radiographs and lung masks; number `epoch * len + i` is radiograph i, augmented as it is in that epoch.

    Args:
        store: Images and lung masks.
        rows: (R,) rows of the store.
        augment: Augmentation, or None.
        seed: Fixes the augmentation.
    """

    def __init__(
        self, store: Store, rows: npt.NDArray[np.integer], augment: Augment | None = None, seed: int = 0
    ) -> None:
        self.store = store
        self.rows = rows
        self.augment = augment
        self.seed = seed

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> Pair:
        row = self.rows[number % len(self)]
        image, lung = np.array(self.store.images[row]), np.array(self.store.lung[row])
        if self.augment is not None:
            seed = int(np.random.SeedSequence([self.seed, number]).generate_state(1)[0])
            image, lung = self.augment(image, lung, seed)
        return torch.from_numpy(np.ascontiguousarray(image))[None], torch.from_numpy(np.ascontiguousarray(lung))[None]


class NumberedEpochs(EpochShuffle):
    """`EpochShuffle` whose numbers tell the epoch too: worker processes need not be told."""

    def __iter__(self) -> Iterable[int]:  # type: ignore[override]
        """Numbers `epoch * length + i`."""
        return (self.epoch * self.length + number for number in super().__iter__())


class LungDataModule(L.LightningDataModule):
    """Radiographs with lung masks, split by patient.

    Args:
        table: A table of radiographs; those without a lung mask are not used.
        image_size: Side of the square to which radiographs are squashed.
        augment: Augmentation of training radiographs.
        batch_size: Radiographs in a batch.
        on_error: `raise` or `skip` files that cannot be read.
        seed: Fixes order and augmentation.
        num_workers: Processes that augment.

    Raises:
        DataError: A split without a radiograph that has a lung mask.
    """

    def __init__(
        self,
        table: pd.DataFrame,
        image_size: int = 256,
        augment: Augment | None = None,
        batch_size: int = 16,
        on_error: OnError = "raise",
        seed: int = 0,
        num_workers: int = 0,
    ) -> None:
        super().__init__()
        self.table = table[table["lung"] != ""].reset_index(drop=True)
        for split in ("train", "val"):
            if not (self.table["split"] == split).any():
                raise DataError(f"no radiograph with a lung mask in the {split} split ({len(table)} in all)")
        self.image_size = image_size
        self.augment = augment
        self.batch_size = batch_size
        self.on_error: OnError = on_error
        self.seed = seed
        self.num_workers = num_workers
        self.opened: Callable[[Callable[[], Store]], Store] = as_it_is  # what opens the store; see `origin`

    def prepare_data(self) -> None:
        """Build the store, once per machine."""
        _ = self.store

    @cached_property
    def store(self) -> Store:
        """The open store; built at first use."""
        size = (self.image_size, self.image_size)
        return self.opened(partial(open_store, self.table, size, "squash", self.on_error))

    def rows(self, split: str) -> npt.NDArray[np.int64]:
        """Rows of the store in a split."""
        return np.flatnonzero(self.store.table["split"] == split)

    def train_dataloader(self) -> DataLoader[Pair]:
        """Augmented, in a new order each epoch."""
        dataset = RadiographsWithLungs(self.store, self.rows("train"), self.augment, self.seed)
        sampler = NumberedEpochs(len(dataset), self.seed)
        return DataLoader(
            dataset,
            self.batch_size,
            sampler=sampler,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            drop_last=len(dataset) > self.batch_size,
        )

    def val_dataloader(self) -> list[DataLoader[Pair]]:
        """As they are, and augmented: the same way in every epoch."""
        plain = RadiographsWithLungs(self.store, self.rows("val"))
        stressed = RadiographsWithLungs(self.store, self.rows("val"), self.augment, self.seed)
        return [DataLoader(dataset, self.batch_size) for dataset in (plain, stressed)]


def overlap_loss(logits: Tensor, lung: Tensor) -> Tensor:
    """Binary cross-entropy plus 1 - soft Dice per image, mean over the batch: (B, 1, H, W) twice -> scalar.

    Args:
        logits: (B, 1, H, W) before the sigmoid.
        lung: (B, 1, H, W) of 0 and 1.
    """
    target = lung.float()
    crossed = nn.functional.binary_cross_entropy_with_logits(logits, target)
    probability = logits.sigmoid()
    axes = (1, 2, 3)
    dice = (2 * (probability * target).sum(axes) + 1) / (probability.sum(axes) + target.sum(axes) + 1)
    return crossed + 1 - dice.mean()


def dice(found: Tensor, lung: Tensor) -> Tensor:
    """Dice of two masks per image; 1 where both are empty: (B, 1, H, W) bool twice -> (B,) in [0, 1].

    Args:
        found: One mask of each image.
        lung: The other.
    """
    axes = (1, 2, 3)
    return (2 * (found & lung).sum(axes) + 1) / (found.sum(axes) + lung.sum(axes) + 1)


class LungSegmentation(L.LightningModule):
    """Trains a `LungSegmenter`.

    Logs `train/loss` and, as means over the validation radiographs, `val/loss` and `val/dice` as they are,
    `val/loss_stressed` and `val/dice_stressed` augmented.

    Args:
        segmenter: The net.
        optimizer: Parameters -> optimizer.
        max_lr_epochs: Length of the cosine to which the learning rate follows down to 0, in epochs.
    """

    def __init__(
        self,
        segmenter: LungSegmenter,
        optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer],
        max_lr_epochs: int,
    ) -> None:
        super().__init__()
        self.segmenter: LungSegmenter = segmenter.to(memory_format=torch.channels_last)
        self.optimizer_factory = optimizer
        self.max_lr_epochs = max_lr_epochs

    def training_step(self, batch: Pair, batch_idx: int) -> Tensor:
        """Scalar loss."""
        images, lung = batch
        loss = overlap_loss(self.segmenter(images), lung)
        self.log("train/loss", loss, on_step=False, on_epoch=True, prog_bar=True, batch_size=len(images))
        return loss

    def validation_step(self, batch: Pair, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Logs loss and Dice."""
        images, lung = batch
        logits = self.segmenter(images)
        kind = ("", "_stressed")[dataloader_idx]
        agreed = dice(logits > 0, lung.bool()).mean()
        figures = {f"val/loss{kind}": overlap_loss(logits, lung), f"val/dice{kind}": agreed}
        self.log_dict(figures, batch_size=len(images), prog_bar=True, add_dataloader_idx=False)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """The optimizer, its learning rate on a cosine."""
        optimizer = self.optimizer_factory(self.segmenter.parameters())
        return {
            "optimizer": optimizer,
            "lr_scheduler": torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.max_lr_epochs),
        }


def field_metrics(found: npt.NDArray[np.uint8], store: Store) -> dict[str, float]:
    """Compare lung fields with a store's masks, each figure a mean over the radiographs that have a lung mask.

    Args:
        found: (N, H, W) of 0 and 1, a lung field for each radiograph of the store.
        store: Has the lung masks.

    Returns:
        `dice`, `precision`, `recall` in [0, 1]; `images`; and, where there are opacity masks, `opacity_inside`: the
        share of opacity pixels that lie inside the found field (mean over images with an opacity).
    """
    masked = store.table["has_lung"].to_numpy(dtype=bool)
    f, t, opaque = (array[masked].astype(bool) for array in (found, store.lung, store.opacity))
    both, n_found, n_true = (array.sum(axis=(1, 2)) for array in (f & t, f, t))
    metrics = {
        "images": float(len(f)),
        "dice": float(np.mean(2 * both / np.maximum(n_found + n_true, 1))),
        "precision": float(np.mean(both / np.maximum(n_found, 1))),
        "recall": float(np.mean(both / np.maximum(n_true, 1))),
    }
    sick = opaque.any(axis=(1, 2))
    if sick.any():
        inside = (opaque & f)[sick].sum(axis=(1, 2)) / opaque[sick].sum(axis=(1, 2))
        metrics["opacity_inside"] = float(inside.mean())
    return metrics
