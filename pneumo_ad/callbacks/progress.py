"""Progress of a training: one bar on a terminal, elsewhere a log line for each epoch."""

from __future__ import annotations

import logging
import multiprocessing
import sys
from typing import Any

import lightning as L
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm, TQDMProgressBar

from pneumo_ad.data.progress import has_bars

log = logging.getLogger(__name__)


class EpochProgress(TQDMProgressBar):
    """Progress bar `epoch n/N` with the losses; the validation loss is first, so that 80 columns show it.

    Validation has no bar of its own. Without a terminal, or in a parallel job of a sweep, whose bars would overwrite
    each other, each epoch is a log line.
    """

    def __init__(self) -> None:
        super().__init__(leave=False)

    def init_train_tqdm(self) -> Tqdm:
        """Return the bar of the training, on stderr."""
        in_sweep = multiprocessing.current_process().name != "MainProcess"
        return Tqdm(
            disable=self.is_disabled or in_sweep or not has_bars(),
            leave=False,
            dynamic_ncols=True,
            file=sys.stderr,
            smoothing=0,
            bar_format=self.BAR_FORMAT,
        )

    def init_validation_tqdm(self) -> Tqdm:
        """Return a bar that draws nothing."""
        return Tqdm(disable=True)

    def on_train_epoch_start(self, trainer: L.Trainer, *arguments: Any) -> None:
        """Begin the bar of an epoch.

        Args:
            trainer: Lightning trainer.
            arguments: Further arguments of the hook.
        """
        super().on_train_epoch_start(trainer, *arguments)
        self.train_progress_bar.set_description(f"epoch {_epoch(trainer, '/')}")

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log the losses of an epoch if no bar shows them."""
        super().on_train_epoch_end(trainer, pl_module)
        if self.train_progress_bar.disable and trainer.is_global_zero:
            losses = (f"{key} {value:.4g}" for key, value in self.get_metrics(trainer, pl_module).items())
            log.info("epoch %s: %s", _epoch(trainer, " of "), ", ".join(losses))

    def get_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any]:
        """Return the metrics beside the bar: the losses first, then what the module logs with `prog_bar`.

        Args:
            trainer: Lightning trainer.
            pl_module: Module that is trained.
        """
        metrics = trainer.progress_bar_metrics
        first = {"val/loss": ("val/loss",), "train/loss": ("train/loss_epoch", "train/loss_step", "train/loss")}
        found = {name: [metrics[key] for key in keys if key in metrics] for name, keys in first.items()}
        return {name: values[0] for name, values in found.items() if values} | {
            key: value for key, value in metrics.items() if not key.startswith(tuple(first))
        }


def _epoch(trainer: L.Trainer, between: str) -> str:
    of_all = f"{between}{trainer.max_epochs}" if trainer.max_epochs and trainer.max_epochs > 0 else ""
    return f"{trainer.current_epoch + 1}{of_all}"
