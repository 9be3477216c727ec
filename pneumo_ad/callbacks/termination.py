"""SIGTERM, as clusters send it before the time is up: save within the epoch."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.utilities.exceptions import SIGTERMException


class SaveOnTermination(L.Callback):
    """Saves when SIGTERM ends a training between two batches; the resumed run equals an uninterrupted one.

    Within a validation there is nothing to save that a run could go on from: its epoch is trained again. At the end of
    an epoch its checkpoint stands already.

    Several processes agree after each batch to end, so that all of them stop at the same one. (Lightning's own handler
    would exchange messages wherever each process happens to be when the signal comes; they may then be taken for
    gradients.)

    Args:
        file: Where to; the checkpoint that a resumed run begins with.
    """

    def __init__(self, file: str | Path) -> None:
        self.file = Path(file)
        self._told = False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Of several processes: take the signal from Lightning, which gives back the former handler at the end."""
        if trainer.world_size > 1:
            signal.signal(signal.SIGTERM, self._note)

    def _note(self, number: int, frame: object) -> None:
        self._told = True

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        """Of several processes: agree; after the last batch the epoch is brought to its end first.

        Args:
            trainer: Lightning's.
        """
        if trainer.world_size > 1 and not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            self._agree(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Of several processes: agree."""
        if trainer.world_size > 1:
            self._agree(trainer)

    def _agree(self, trainer: L.Trainer) -> None:
        if trainer.strategy.reduce_boolean_decision(self._told, all=False):
            trainer._signal_connector.received_sigterm = True

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Save, if it was SIGTERM and batches of the epoch are left."""
        done = trainer.fit_loop.epoch_loop.batch_progress.current
        if isinstance(exception, SIGTERMException) and 0 < done.completed == done.ready < trainer.num_training_batches:
            trainer.save_checkpoint(self.file)
