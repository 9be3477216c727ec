"""Training of the lung segmenter: its data and its LightningModule."""

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
        self.check(table)
        masked = table[table["lung"] != ""].reset_index(drop=True)
        radiographs = FittedRadiographs(masked, image_size, lungs=FileFields(), on_error=on_error)
        super().__init__(radiographs, augment, batch_size, only_whole=True, seed=seed, num_workers=num_workers)

    @staticmethod
    def check(table: pd.DataFrame) -> None:
        """See that there are lung masks to learn from and to choose by.

        Raises:
            DataError: There are none.
        """
        for split in ("train", "val"):
            if not ((table["split"] == split) & (table["lung"] != "")).any():
                raise DataError(f"no radiograph with a lung mask in the {split} split ({len(table)} in all)")

    def val_dataloader(self) -> list[DataLoader[PatchBatch]]:
        """As they are, and augmented: the same way in every epoch."""
        return [self.in_order(self.rows("val"), augment) for augment in (None, self.augment)]


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

    def training_step(self, batch: PatchBatch, batch_idx: int) -> Tensor:
        """Scalar loss."""
        images, lung = batch["patch"], batch["lung"]
        loss = overlap_loss(self.segmenter(images), lung)
        self.log("train/loss", loss, on_step=False, on_epoch=True, prog_bar=True, batch_size=len(images))
        return loss

    def validation_step(self, batch: PatchBatch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Logs loss and Dice."""
        images, lung = batch["patch"], batch["lung"]
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
