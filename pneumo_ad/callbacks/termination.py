"""Checkpoint on SIGTERM, which clusters send before the time limit, within an epoch."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.utilities.exceptions import SIGTERMException


class SaveOnTermination(L.Callback):
    """Checkpoint when SIGTERM ends a training between two batches; the resumed run equals an uninterrupted one.

    A state within a validation cannot be resumed, so nothing is saved there and the epoch is trained again. At the end
    of an epoch its checkpoint has already been written.

    Several processes agree on the end after each batch, so that all of them stop at the same one. (Lightning's own
    handler would exchange messages wherever each process is when the signal arrives; these may then be mistaken for
    gradients.)

    Args:
        file: Checkpoint to write; a resumed run begins with it.
    """

    def __init__(self, file: str | Path) -> None:
        self.file = Path(file)
        self._told = False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """With several processes, replace Lightning's signal handler; Lightning restores the former one at the end."""
        if trainer.world_size > 1:
            signal.signal(signal.SIGTERM, self._note)

    def _note(self, number: int, frame: object) -> None:
        self._told = True

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        """With several processes, agree on the end; after the last batch the epoch is finished first.

        Args:
            trainer: Lightning trainer.
        """
        if trainer.world_size > 1 and not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            self._agree(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """With several processes, agree on the end."""
        if trainer.world_size > 1:
            self._agree(trainer)

    def _agree(self, trainer: L.Trainer) -> None:
        if trainer.strategy.reduce_boolean_decision(self._told, all=False):
            trainer._signal_connector.received_sigterm = True

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Save, if the exception is SIGTERM and batches of the epoch are left."""
        done = trainer.fit_loop.epoch_loop.batch_progress.current
        if isinstance(exception, SIGTERMException) and 0 < done.completed == done.ready < trainer.num_training_batches:
            trainer.save_checkpoint(self.file)
