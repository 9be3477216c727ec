"""SAD histograms of each validation for the loggers (the paper's Fig. 9 over time)."""

from __future__ import annotations

from typing import Any

import lightning as L
import numpy as np
import numpy.typing as npt
import torch

from pneumo_ad.data.datasets import VAL_KINDS
from pneumo_ad.loggers.pictures import log_histogram, picture_loggers, step_of

# Geometric bin edges resolve small and large SAD alike; fixed, so that counts of epochs and processes can be added.
_EDGES = np.concatenate([[0.0], np.geomspace(0.05, 255.0, 255)])


class SADHistograms(L.Callback):
    """Histograms of the SAD of validation patches, one per kind: `sad/normal_lung`, `sad/normal`,
    `sad/pneumonia`.

    Only counts are kept, so that cost and event files do not grow with the number of patches.

    Args:
        every_n_epochs: Number of epochs from one histogram to the next.
    """  # noqa: D205

    def __init__(self, every_n_epochs: int = 1) -> None:
        self.every_n_epochs = every_n_epochs

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Reset the counts."""
        self._counts = {kind: np.zeros(len(_EDGES) - 1, dtype=np.int64) for kind in VAL_KINDS}
        # least, largest, sum, sum of squares
        self._moments = {kind: np.array([np.inf, -np.inf, 0.0, 0.0]) for kind in VAL_KINDS}

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count a batch."""
        kind = VAL_KINDS[dataloader_idx]
        sad: npt.NDArray[np.float64] = outputs["sad"].float().cpu().numpy().astype(np.float64)
        self._counts[kind] += np.histogram(np.minimum(sad, _EDGES[-1]), _EDGES)[0]
        least, largest, total, squares = self._moments[kind]
        self._moments[kind] = np.array(
            [min(least, sad.min()), max(largest, sad.max()), total + sad.sum(), squares + sad @ sad]
        )

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log the histograms, summed over all processes."""
        if trainer.sanity_checking or (trainer.current_epoch + 1) % self.every_n_epochs:
            return
        if trainer.world_size > 1:
            self._add_up(trainer)
        listening = picture_loggers(trainer)
        for kind, count in self._counts.items():
            if count.any():
                moments = self._moments[kind].tolist()
                log_histogram(listening, f"sad/{kind}", count, _EDGES, moments, step_of(trainer))

    def _add_up(self, trainer: L.Trainer) -> None:
        def over_processes(values: npt.NDArray[Any], how: str) -> npt.NDArray[Any]:
            reduced = trainer.strategy.reduce(
                torch.as_tensor(values, device=trainer.strategy.root_device), reduce_op=how
            )
            return reduced.cpu().numpy()

        for kind in VAL_KINDS:
            self._counts[kind] = over_processes(self._counts[kind], "sum")
            least, largest, *sums = self._moments[kind]
            # The maximum of -least is -(the minimum): one reduction less.
            extremes = over_processes(np.array([-least, largest]), "max")
            self._moments[kind] = np.array([-extremes[0], extremes[1], *over_processes(np.array(sums), "sum")])
