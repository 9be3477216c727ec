"""Callback that keeps what a training logs, a row per epoch."""

from __future__ import annotations

from pathlib import Path

import lightning as L
import pandas as pd

from pneumo_ad.errors import DamagedError
from pneumo_ad.files import write_csv
from pneumo_ad.saved import in_a_line, is_there, read_table


def read_history(file: Path) -> pd.DataFrame:
    """Read what `History` wrote: a row per epoch, float columns; NaN where a metric was not logged.

    Args:
        file: The csv file.

    Raises:
        DamagedError: See `read_table`; a cell that is no number.
    """
    table = read_table(file, {"epoch": float, "step": float})
    try:
        return table.apply(pd.to_numeric)
    except ValueError as reason:
        raise DamagedError(f"{file}: damaged, or not what this project writes ({in_a_line(reason)})") from reason


class History(L.Callback):
    """Callback that writes the metrics of each epoch to a csv file, whatever the loggers do.

    A row holds `epoch` (from 1), `step` (steps so far), and each logged metric as its mean over the epoch; metrics of
    validation only where a validation ran. A resumed training goes on after the epochs of its checkpoint.

    Args:
        file: File to write.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._rows: list[dict[str, float]] = []
        self._validated = False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Read the epochs before the checkpoint."""
        if is_there(self._file):
            table = read_history(self._file)
            kept = table[table["epoch"] <= trainer.current_epoch]
            self._rows = [{str(key): value for key, value in row.items()} for row in kept.to_dict("records")]

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Note that the epoch has metrics of validation."""
        self._validated = not trainer.sanity_checking

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the metrics of the epoch."""
        metrics = {
            key.removesuffix("_epoch"): float(value)
            for key, value in trainer.callback_metrics.items()
            if not key.endswith("_step") and (self._validated or not key.startswith("val/"))
        }
        self._validated = False
        self._rows.append({"epoch": trainer.current_epoch + 1, "step": trainer.global_step} | metrics)
        if trainer.is_global_zero:
            write_csv(self._file, pd.DataFrame(self._rows))
