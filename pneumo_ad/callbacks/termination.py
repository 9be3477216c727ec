"""SIGTERM, as clusters send it before the time is up: save within the epoch."""

from __future__ import annotations

from pathlib import Path

import lightning as L
from lightning.pytorch.utilities.exceptions import SIGTERMException


class SaveOnTermination(L.Callback):
    """Saves when SIGTERM ends a training between two batches; the resumed run equals an uninterrupted one.

    At the end of an epoch the checkpoint of that epoch stands already.

    Args:
        file: Where to; the checkpoint that a resumed run begins with.
    """

    def __init__(self, file: str | Path) -> None:
        self.file = Path(file)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Save, if it was SIGTERM and batches of the epoch are left."""
        done = trainer.fit_loop.epoch_loop.batch_progress.current
        if isinstance(exception, SIGTERMException) and 0 < done.completed == done.ready < trainer.num_training_batches:
            trainer.save_checkpoint(self.file)
