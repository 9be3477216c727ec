"""Finds TensorBoard among a trainer's loggers."""

from __future__ import annotations

import lightning as L
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.tensorboard import SummaryWriter


def writers(trainer: L.Trainer) -> list[SummaryWriter]:
    """Writers of all TensorBoard loggers of rank 0: pictures and histograms go there, other loggers get the scalars."""
    if not trainer.is_global_zero:
        return []
    return [logger.experiment for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
