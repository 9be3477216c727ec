"""Training of reconstructing nets on patches: net, corruption, loss, score and optimizer in a LightningModule."""

from __future__ import annotations

from typing import TypedDict

import numpy as np
import torch
from torch import Tensor, nn

from pneumo_ad.corruptions import Corruption, NoCorruption
from pneumo_ad.data.batch import patches_of
from pneumo_ad.data.datasets import VAL_KINDS, PatchBatch
from pneumo_ad.modules.base import NetModule, OptimizerFactory
from pneumo_ad.nets.output import Output, inner
from pneumo_ad.scores import SAD, Score


class Examined(TypedDict):
    """Result of `validation_step` for callbacks: inputs and reconstructions (B, 1, p, p), SAD and scores (B,)."""

    x: Tensor
    reconstruction: Tensor
    sad: Tensor
    score: Tensor


class PatchAutoencoder(NetModule):
    """Autoencoder of normal-lung patches; patches with a large reconstruction error are anomalous.

    Logs `train/loss`, `train/sad`, and for the loaders of `PatchDataModule` `val/loss` (normal lung, under the training
    corruption) and `val/sad_<kind>` (mean grey levels per pixel, uncorrupted input).

    Args:
        net: Net, (B, 1, p, p) in [0, 1] -> `Output`.
        loss: Loss of target and `Output`, a scalar.
        optimizer: Factory, parameters -> optimizer, for example `functools.partial(torch.optim.Adam, lr=1e-3)`.
        score: Score of input and output; default `SAD()`.
        corruption: Corruption of the input in training and in `val/loss`; default none.
        halo: Pixels of surroundings on every side of a patch, input of the net but excluded from loss and scores.
        seed: Seed of the corruption, and of noise drawn by the net, of each (epoch, batch).
    """

    def __init__(
        self,
        net: nn.Module,
        loss: nn.Module,
        optimizer: OptimizerFactory,
        score: Score | None = None,
        corruption: Corruption | None = None,
        seed: int = 0,
        halo: int = 0,
    ) -> None:
        super().__init__(net, score if score is not None else SAD(), optimizer)
        self.loss = loss
        self.corruption = corruption if corruption is not None else NoCorruption()
        self.seed = seed
        self.halo = halo
        self._sad = SAD()

    def _corrupted_loss(self, x: Tensor, epoch: int, batch_idx: int) -> tuple[Tensor, Output]:
        # Depends on (seed, epoch, batch, rank) alone, so that a resumed run repeats it.
        sequence = np.random.SeedSequence([self.seed, epoch, batch_idx, self.global_rank])
        for_corruption, for_net = (int(state) for state in sequence.generate_state(2, np.uint64))
        generator = torch.Generator(device=x.device).manual_seed(for_corruption)
        corrupted = self.corruption(x, generator)
        # Nets draw noise from torch's global generator, whose state is not in checkpoints.
        with torch.random.fork_rng(devices=[x.device] if x.is_cuda else []):
            torch.manual_seed(for_net)
            output: Output = self(corrupted).inner(self.halo)
        loss = self.loss(inner(x, self.halo), output)
        return (loss if output.penalty is None else loss + output.penalty), output

    def training_step(self, batch: PatchBatch, batch_idx: int) -> Tensor:
        """Compute the loss of a batch of normal-lung patches, a scalar."""
        x = patches_of(batch)
        loss, output = self._corrupted_loss(x, self.current_epoch, batch_idx)
        size = len(x)
        self.log("train/loss", loss, on_step=True, on_epoch=True, prog_bar=True, batch_size=size, sync_dist=True)
        with torch.no_grad():
            sad = self._sad.score(inner(x, self.halo), output).mean()
        self.log("train/sad", sad, on_step=False, on_epoch=True, batch_size=size, sync_dist=True)
        return loss

    def validation_step(self, batch: PatchBatch, batch_idx: int, dataloader_idx: int = 0) -> Examined:
        """Score a batch of one of the `VAL_KINDS`."""
        kind = VAL_KINDS[dataloader_idx]
        x = patches_of(batch)
        examined = self.examine(x)
        if kind == "normal_lung":
            loss, _ = self._corrupted_loss(x, 0, batch_idx)
            self.log("val/loss", loss, prog_bar=True, add_dataloader_idx=False, batch_size=len(x), sync_dist=True)
        sad = examined["sad"].mean()
        self.log(f"val/sad_{kind}", sad, add_dataloader_idx=False, batch_size=len(x), sync_dist=True)
        return examined

    def scores_of(self, x: Tensor) -> Tensor:
        """Score patches with their halo, (B, 1, h, w) in [0, 1] -> (B,)."""
        return self.examine(x)["score"]

    def examine(self, x: Tensor) -> Examined:
        """Reconstruct and score uncorrupted patches, (B, 1, p, p) in [0, 1] with halo; results are without it."""
        output, x = self(x).inner(self.halo), inner(x, self.halo)
        sad, score = self._sad.score(x, output), self.score.score(x, output)
        return {"x": x, "reconstruction": output.reconstruction, "sad": sad, "score": score}
