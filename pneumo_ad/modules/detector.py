"""Base of nets that learn from drawings in normal radiographs: steps, logged values, random generators."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pneumo_ad.data.batch import patches_of
from pneumo_ad.data.datasets import VAL_KINDS, PatchBatch
from pneumo_ad.labels import HEALTHY, OPACITY, OUTSIDE
from pneumo_ad.modules.base import NetModule
from pneumo_ad.nets import KindUNet


class Detector(NetModule):
    """Trained on whole normal radiographs with something drawn into them; logs `train/loss` and `val/loss`, per pixel.

    Attributes:
        seed: Fixes what is drawn in each (epoch, batch).
    """

    view = "image"
    net: KindUNet
    seed: int

    @abstractmethod
    def loss(self, batch: PatchBatch, generator: torch.Generator) -> Tensor:
        """Scalar loss of a batch.

        Args:
            batch: Normal radiographs with their lung fields.
            generator: Source of what is drawn, on their device.
        """

    def generator(self, epoch: int, batch_idx: int, device: torch.device) -> torch.Generator:
        """Source of what is drawn: a function of (seed, epoch, batch) alone, so that a resumed run repeats it.

        Args:
            epoch: 0 in validation, where the same is drawn each time.
            batch_idx: Which batch of the epoch.
            device: Where it is drawn.
        """
        state = np.random.SeedSequence([self.seed, epoch, batch_idx, self.global_rank]).generate_state(1, np.uint64)
        return torch.Generator(device=device).manual_seed(int(state[0]))

    def _loss(self, batch: PatchBatch, epoch: int, batch_idx: int) -> Tensor:
        return self.loss(batch, self.generator(epoch, batch_idx, patches_of(batch, "lung").device))

    def training_step(self, batch: PatchBatch, batch_idx: int) -> Tensor:
        """Scalar loss of a batch of normal radiographs."""
        loss = self._loss(batch, self.current_epoch, batch_idx)
        size = len(batch["patch"])
        self.log("train/loss", loss, on_step=True, on_epoch=True, prog_bar=True, batch_size=size, sync_dist=True)
        return loss

    def validation_step(self, batch: PatchBatch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """The loss of held-out normal radiographs, the same drawn each time."""
        if VAL_KINDS[dataloader_idx] == "normal_lung":
            loss, size = self._loss(batch, 0, batch_idx), len(batch["patch"])
            self.log("val/loss", loss, prog_bar=True, add_dataloader_idx=False, batch_size=size, sync_dist=True)


def kinds_of_squares(lung: Tensor, opaque: Tensor) -> Tensor:
    """Kind of each square of 2 x 2 pixels.

    Args:
        lung: (B, 1, H, W) float of 0 and 1.
        opaque: (B, 1, H / 2, W / 2) bool, whether something was drawn there.

    Returns:
        (B, H / 2, W / 2) int64 of `HEALTHY`, `OPACITY` and `OUTSIDE`.
    """
    kinds = torch.where(opaque, OPACITY, HEALTHY)
    return torch.where(F.avg_pool2d(lung, 2) < 0.5, OUTSIDE, kinds)[:, 0]
