"""Training of the classifier."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import lightning as L
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torchmetrics.classification import BinaryAUROC

from pneumo_ad.classifier.cnn import RadiographCNN
from pneumo_ad.data.batch import patches_of, to_unit
from pneumo_ad.data.datasets import PatchBatch
from pneumo_ad.errors import ConfigError, DataError


def balanced_weights(pneumonia: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Compute weights of normal and pneumonia that balance the classes, with a mean weight of 1.

    n / (2 n_class): the rarer class weighs more (King and Zeng 2001, *Logistic Regression in Rare Events Data*).

    Raises:
        DataError: Radiographs of one class only.

    >>> balanced_weights(np.array([False, True, True, True]))
    (2.0, 0.6666666666666666)
    """
    counts = int((~pneumonia).sum()), int(pneumonia.sum())
    if not all(counts):
        raise DataError(f"a classifier needs both classes; there are {counts[0]} normal and {counts[1]} pneumonia")
    return len(pneumonia) / (2 * counts[0]), len(pneumonia) / (2 * counts[1])


def weighted_loss(logits: Tensor, pneumonia: Tensor, class_weights: Sequence[float]) -> Tensor:
    """Compute the binary cross-entropy, weighted by class, as a mean over the batch, a scalar.

    Args:
        logits: (B,) logits of pneumonia.
        pneumonia: (B,) bool labels.
        class_weights: Weights of normal and pneumonia, in this order.
    """
    normal, sick = class_weights
    weight = torch.where(pneumonia, sick, normal).to(logits.dtype)
    return nn.functional.binary_cross_entropy_with_logits(logits, pneumonia.to(logits.dtype), weight)


class RadiographClassifier(L.LightningModule):
    """Classifier of pneumonia against normal radiographs.

    Logs `train/loss`, and over the validation radiographs `val/loss` (weighted as in training) and `val/auroc`.

    Args:
        net: Net, (B, 1, H, W) in [0, 1] -> (B,) logits of pneumonia.
        optimizer: Factory, parameters -> optimizer.
        class_weights: Weights of normal and pneumonia in the loss (`balanced_weights`).
        seed: Seed of the dropout of each (epoch, batch), so that a resumed run equals an uninterrupted one.

    Raises:
        ConfigError: Weights that are not two positive numbers.
    """

    def __init__(
        self,
        net: RadiographCNN,
        optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer],
        class_weights: Sequence[float] = (1.0, 1.0),
        seed: int = 0,
    ) -> None:
        super().__init__()
        if len(class_weights) != 2 or not all(0 < weight < float("inf") for weight in class_weights):
            raise ConfigError(f"class_weights={list(class_weights)} must be two positive numbers: normal, pneumonia")
        # channels_last is two to three times as fast on the CPU as the default layout.
        self.net: RadiographCNN = net.to(memory_format=torch.channels_last)
        self.optimizer_factory = optimizer
        self.class_weights = tuple(class_weights)
        self.seed = seed
        self.val_auroc = BinaryAUROC()

    def forward(self, images: Tensor) -> Tensor:
        """Classify radiographs, (B, 1, H, W) uint8 grey levels or in [0, 1] -> (B,) logits of pneumonia."""
        return self.net(to_unit(images))

    def training_step(self, batch: PatchBatch, batch_idx: int) -> Tensor:
        """Compute the loss of a batch, a scalar."""
        images = patches_of(batch, "pneumonia")
        state = np.random.SeedSequence([self.seed, self.current_epoch, batch_idx]).generate_state(1, np.uint64)
        # Dropout draws from torch's global generator, whose state is not in checkpoints.
        with torch.random.fork_rng(devices=[images.device] if images.is_cuda else []):
            torch.manual_seed(int(state[0]))
            loss = weighted_loss(self(images), batch["pneumonia"], self.class_weights)
        self.log("train/loss", loss, on_step=False, on_epoch=True, prog_bar=True, batch_size=len(images))
        return loss

    def validation_step(self, batch: PatchBatch, batch_idx: int) -> None:
        """Log loss and AUROC."""
        logits, pneumonia = self(patches_of(batch, "pneumonia")), batch["pneumonia"]
        self.val_auroc.update(logits.float().sigmoid(), pneumonia.long())
        loss = weighted_loss(logits, pneumonia, self.class_weights)
        self.log("val/loss", loss, prog_bar=True, batch_size=len(pneumonia))
        self.log("val/auroc", self.val_auroc, on_step=False, on_epoch=True, prog_bar=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Create the optimizer of the net's parameters."""
        return self.optimizer_factory(self.net.parameters())
