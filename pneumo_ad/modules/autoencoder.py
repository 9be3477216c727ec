"""The experiment as a LightningModule: net, corruption, loss, score and optimizer put together."""

from __future__ import annotations

from typing import TypedDict

import numpy as np
import torch
from torch import Tensor, nn

from pneumo_ad.corruptions import Corruption, NoCorruption
from pneumo_ad.data.datasets import VAL_KINDS, PatchBatch
from pneumo_ad.modules.base import NetModule, OptimizerFactory, to_unit
from pneumo_ad.nets.output import Output, inner
from pneumo_ad.scores import SAD, Score


class Examined(TypedDict):
    """What `validation_step` returns for callbacks: inputs, reconstructions (B, 1, p, p) and scores (B,)."""

    x: Tensor
    reconstruction: Tensor
    sad: Tensor
    score: Tensor


class PatchAutoencoder(NetModule):
    """Learns to reconstruct normal-lung patches; what it reconstructs badly is anomalous.

    Logs `train/loss`, `train/sad`, and for the loaders of `PatchDataModule` `val/loss` (normal lung, under the training
    corruption) and `val/sad_<kind>` (mean grey levels per pixel, uncorrupted input).

    Args:
        net: (B, 1, p, p) in [0, 1] -> `Output`.
        loss: (target, `Output`) -> scalar.
        optimizer: Parameters -> optimizer, for example `functools.partial(torch.optim.Adam, lr=1e-3)`.
        score: Turns input and output into residual map and score; default `SAD()`.
        corruption: Corruption of the input in training and in `val/loss`; default none.
        halo: Pixels of surroundings on every side of a patch, which the net sees and loss and scores leave out.
        seed: Fixes the corruption, and the noise a net draws, of each (epoch, batch).
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
        # A function of (seed, epoch, batch) alone, so that a resumed run repeats it.
        sequence = np.random.SeedSequence([self.seed, epoch, batch_idx, self.global_rank])
        for_corruption, for_net = (int(state) for state in sequence.generate_state(2, np.uint64))
        generator = torch.Generator(device=x.device).manual_seed(for_corruption)
        corrupted = self.corruption(x, generator)
        # A net that draws noise draws it from torch's global generator, whose state no checkpoint holds.
        with torch.random.fork_rng(devices=[x.device] if x.is_cuda else []):
            torch.manual_seed(for_net)
            output: Output = self(corrupted).inner(self.halo)
        loss = self.loss(inner(x, self.halo), output)
        return (loss if output.penalty is None else loss + output.penalty), output

    def training_step(self, batch: PatchBatch, batch_idx: int) -> Tensor:
        """Scalar loss of a batch of normal-lung patches."""
        x = to_unit(batch["patch"])
        loss, output = self._corrupted_loss(x, self.current_epoch, batch_idx)
        size = len(x)
        self.log("train/loss", loss, on_step=True, on_epoch=True, prog_bar=True, batch_size=size, sync_dist=True)
        with torch.no_grad():
            sad = self._sad.score(inner(x, self.halo), output).mean()
        self.log("train/sad", sad, on_step=False, on_epoch=True, batch_size=size, sync_dist=True)
        return loss

    def validation_step(self, batch: PatchBatch, batch_idx: int, dataloader_idx: int = 0) -> Examined:
        """Scores a batch of one of the `VAL_KINDS`."""
        kind = VAL_KINDS[dataloader_idx]
        x = to_unit(batch["patch"])
        examined = self.examine(x)
        if kind == "normal_lung":
            loss, _ = self._corrupted_loss(x, 0, batch_idx)
            self.log("val/loss", loss, prog_bar=True, add_dataloader_idx=False, batch_size=len(x), sync_dist=True)
        sad = examined["sad"].mean()
        self.log(f"val/sad_{kind}", sad, add_dataloader_idx=False, batch_size=len(x), sync_dist=True)
        return examined

    def examine(self, x: Tensor) -> Examined:
        """Reconstruct and score uncorrupted patches, (B, 1, p, p) in [0, 1], cut with the halo and returned without."""
        output, x = self(x).inner(self.halo), inner(x, self.halo)
        sad, score = self._sad.score(x, output), self.score.score(x, output)
        return {"x": x, "reconstruction": output.reconstruction, "sad": sad, "score": score}
