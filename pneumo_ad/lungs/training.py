"""Training of the lung segmenter: data module and LightningModule."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import lightning as L
import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.utils.data import DataLoader

from pneumo_ad.data.batch import patches_of
from pneumo_ad.data.datasets import PatchBatch
from pneumo_ad.data.fitted_radiographs import FittedRadiographs
from pneumo_ad.data.store.build import OnError
from pneumo_ad.data.store.store import Store
from pneumo_ad.data.whole_datamodule import WholeDataModule
from pneumo_ad.errors import DataError
from pneumo_ad.lungs.fields import FileFields
from pneumo_ad.lungs.segmenter import LungSegmenter

if TYPE_CHECKING:
    from pneumo_ad.data.augment import Augment


class LungDataModule(WholeDataModule):
    """Lightning data module of radiographs with lung masks, split by patient.

    Args:
        table: Table of radiographs; those without a lung mask are not used.
        image_size: Side in pixels of the square to which radiographs are squashed.
        augment: Augmentation of training radiographs.
        batch_size: Radiographs in a batch.
        on_error: `raise` or `skip` files that cannot be read.
        seed: Seed of order and augmentation.
        num_workers: Worker processes that augment.

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
        self.check(table)
        masked = table[table["lung"] != ""].reset_index(drop=True)
        radiographs = FittedRadiographs(masked, image_size, lungs=FileFields(), on_error=on_error)
        super().__init__(radiographs, augment, batch_size, only_whole=True, seed=seed, num_workers=num_workers)

    @staticmethod
    def check(table: pd.DataFrame) -> None:
        """Check that the train and val splits have lung masks.

        Raises:
            DataError: One of them has none.
        """
        for split in ("train", "val"):
            if not ((table["split"] == split) & (table["lung"] != "")).any():
                raise DataError(f"no radiograph with a lung mask in the {split} split ({len(table)} in all)")

    def val_dataloader(self) -> list[DataLoader[PatchBatch]]:
        """Return two loaders of the val radiographs: not augmented, and augmented in the same way in every epoch."""
        return [self.in_order(self.rows("val"), augment) for augment in (None, self.augment)]


def overlap_loss(logits: Tensor, lung: Tensor) -> Tensor:
    """Compute binary cross-entropy per pixel plus 1 - soft Dice per image, both as means over the batch: a scalar.

    Args:
        logits: (B, 1, H, W) float, before the sigmoid.
        lung: (B, 1, H, W) lung masks of 0 and 1.
    """
    target = lung.float()
    crossed = nn.functional.binary_cross_entropy_with_logits(logits, target)
    return crossed + 1 - dice(logits.sigmoid(), target).mean()


def dice(found: Tensor, true: Tensor) -> Tensor:
    """Compute the Dice coefficient of two masks per image, (B,) in [0, 1], of probabilities the soft one; 1 if empty.

    Args:
        found: (B, ...) predicted masks, bool or probabilities.
        true: (B, ...) true masks of the same type.
    """
    axes = tuple(range(1, found.ndim))
    return (2 * (found * true).sum(axes) + 1) / (found.sum(axes) + true.sum(axes) + 1)


class LungSegmentation(L.LightningModule):
    """LightningModule that trains a `LungSegmenter`.

    Logs `train/loss` and, as means over the validation radiographs, `val/loss` and `val/dice` without augmentation,
    `val/loss_stressed` and `val/dice_stressed` with it.

    Args:
        segmenter: Net to train.
        optimizer: Optimizer factory: parameters -> optimizer.
        max_lr_epochs: Epochs in which the learning rate falls to 0 along a cosine.
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

    def training_step(self, batch: PatchBatch, batch_idx: int) -> Tensor:
        """Return the loss, a scalar, and log it."""
        images, lung = patches_of(batch, "lung"), batch["lung"]
        loss = overlap_loss(self.segmenter(images), lung)
        self.log("train/loss", loss, on_step=False, on_epoch=True, prog_bar=True, batch_size=len(images))
        return loss

    def validation_step(self, batch: PatchBatch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Log loss and Dice."""
        images, lung = patches_of(batch, "lung"), batch["lung"]
        logits = self.segmenter(images)
        kind = ("", "_stressed")[dataloader_idx]
        agreed = dice(logits > 0, lung.bool()).mean()
        figures = {f"val/loss{kind}": overlap_loss(logits, lung), f"val/dice{kind}": agreed}
        self.log_dict(figures, batch_size=len(images), prog_bar=True, add_dataloader_idx=False)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return the optimizer, and the cosine schedule of its learning rate."""
        optimizer = self.optimizer_factory(self.segmenter.parameters())
        return {
            "optimizer": optimizer,
            "lr_scheduler": torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.max_lr_epochs),
        }


def field_metrics(found: npt.NDArray[np.uint8], store: Store) -> dict[str, float]:
    """Compare lung fields with the lung masks of a store; means over the radiographs with a lung mask.

    Args:
        found: (N, H, W) uint8 of 0 and 1, a lung field for each radiograph of the store.
        store: Store with the lung masks.

    Returns:
        `dice`, `precision`, `recall` in [0, 1]; `images`, the number of radiographs; and, with opacity masks,
        `opacity_inside`: the share of opacity pixels inside the lung field (mean over images with an opacity).
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
