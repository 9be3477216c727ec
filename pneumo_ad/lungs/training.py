"""Training of the lung segmenter: its data and its LightningModule."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import lightning as L
import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from pneumo_ad.data.datasets import EpochShuffle
from pneumo_ad.data.store import OnError, Store, open_store
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
                raise DataError(f"no radiograph with a lung mask in the {split} split ({len(table)} radiographs in all)")
        self.image_size = image_size
        self.augment = augment
        self.batch_size = batch_size
        self.on_error: OnError = on_error
        self.seed = seed
        self.num_workers = num_workers

    def prepare_data(self) -> None:
        """Build the store, once per machine."""
        open_store(self.table, (self.image_size, self.image_size), "squash", self.on_error)

    def setup(self, stage: str | None = None) -> None:
        """Open the store."""
        self.store = open_store(self.table, (self.image_size, self.image_size), "squash", self.on_error)

    def rows(self, split: str) -> npt.NDArray[np.int64]:
        """Rows of the store in a split."""
        return np.flatnonzero(self.store.table["split"] == split)

    def train_dataloader(self) -> DataLoader[Pair]:
        """Augmented, in a new order each epoch."""
        dataset = RadiographsWithLungs(self.store, self.rows("train"), self.augment, self.seed)
        sampler = NumberedEpochs(len(dataset), self.seed)
        return DataLoader(
            dataset, self.batch_size, sampler=sampler, num_workers=self.num_workers, drop_last=len(dataset) > self.batch_size,
            persistent_workers=self.num_workers > 0,
        )

    def val_dataloader(self) -> DataLoader[Pair]:
        """As they are."""
        return DataLoader(RadiographsWithLungs(self.store, self.rows("val")), self.batch_size)


def overlap_loss(logits: Tensor, lung: Tensor) -> Tensor:
    """Binary cross-entropy plus 1 - soft Dice per image, mean over the batch: (B, 1, H, W) twice -> scalar."""
    target = lung.float()
    crossed = nn.functional.binary_cross_entropy_with_logits(logits, target)
    probability = logits.sigmoid()
    axes = (1, 2, 3)
    dice = (2 * (probability * target).sum(axes) + 1) / (probability.sum(axes) + target.sum(axes) + 1)
    return crossed + 1 - dice.mean()


class LungSegmentation(L.LightningModule):
    """Trains a `LungSegmenter`; logs `train/loss`, `val/loss` and `val/dice` (mean over images).

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
        self.segmenter = segmenter
        self.optimizer_factory = optimizer
        self.max_lr_epochs = max_lr_epochs

    def training_step(self, batch: Pair, batch_idx: int) -> Tensor:
        """Scalar loss."""
        images, lung = batch
        loss = overlap_loss(self.segmenter(images.contiguous(memory_format=torch.channels_last)), lung)
        self.log("train/loss", loss, on_step=False, on_epoch=True, prog_bar=True, batch_size=len(images))
        return loss

    def validation_step(self, batch: Pair, batch_idx: int) -> None:
        """Logs loss and Dice."""
        images, lung = batch
        logits = self.segmenter(images)
        found, truth = logits > 0, lung.bool()
        dice = 2 * (found & truth).sum((1, 2, 3)) / (found.sum((1, 2, 3)) + truth.sum((1, 2, 3))).clamp_min(1)
        self.log("val/loss", overlap_loss(logits, lung), batch_size=len(images))
        self.log("val/dice", dice.float().mean(), prog_bar=True, batch_size=len(images))

    def configure_optimizers(self) -> dict[str, object]:
        """The optimizer, its learning rate on a cosine."""
        optimizer = self.optimizer_factory(self.segmenter.parameters())
        return {
            "optimizer": optimizer,
            "lr_scheduler": torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.max_lr_epochs),
        }


def field_metrics(
    found: npt.NDArray[np.uint8], store: Store, rows: npt.NDArray[np.integer]
) -> dict[str, float]:
    """Compare lung fields with a store's masks, each figure a mean over those of `rows` that have a lung mask.

    Returns:
        `dice`, `precision`, `recall` in [0, 1]; `images`; and, where there are opacity masks, `opacity_inside`: the
        share of opacity pixels that lie inside the found field (mean over images with an opacity).
    """
    rows = rows[store.table["has_lung"].to_numpy(dtype=bool)[rows]]
    f, t = found[rows].astype(bool), store.lung[rows].astype(bool)
    both, n_found, n_true = ((a.sum(axis=(1, 2))) for a in (f & t, f, t))
    metrics = {
        "images": float(len(rows)),
        "dice": float(np.mean(2 * both / np.maximum(n_found + n_true, 1))),
        "precision": float(np.mean(both / np.maximum(n_found, 1))),
        "recall": float(np.mean(both / np.maximum(n_true, 1))),
    }
    sick = rows[store.opacity[rows].any(axis=(1, 2))]
    if len(sick):
        opaque = store.opacity[sick].astype(bool)
        inside = (opaque & found[sick].astype(bool)).sum(axis=(1, 2)) / opaque.sum(axis=(1, 2))
        metrics["opacity_inside"] = float(inside.mean())
    return metrics
