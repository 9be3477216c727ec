"""Base of callbacks that draw pictures every few epochs and after the last."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import cast

import lightning as L

from pneumo_ad.data.datamodule import PatchDataModule
from pneumo_ad.labels import RADIOGRAPH, Vocabulary
from pneumo_ad.loggers import RunLogger
from pneumo_ad.loggers.pictures import picture_loggers
from pneumo_ad.modules.autoencoder import PatchAutoencoder


def is_due(trainer: L.Trainer, every_n_epochs: int) -> bool:
    """Whether something is drawn after this epoch: every few epochs, and after the last.

    Args:
        trainer: Lightning trainer.
        every_n_epochs: Number of epochs from one drawing to the next.
    """
    epoch = trainer.current_epoch + 1
    return epoch == trainer.max_epochs or not epoch % every_n_epochs


class PeriodicDrawing(L.Callback):
    """Drawing for the loggers at the end of a validation, when it is due and a logger takes pictures.

    Args:
        every_n_epochs: Number of epochs from one drawing to the next; the last epoch is drawn too.
        vocabulary: Words for what the images show, all of `labels.Vocabulary`; None speaks of radiographs.
    """

    def __init__(self, every_n_epochs: int, vocabulary: Mapping[str, str] | None = None) -> None:
        self.every_n_epochs = every_n_epochs
        self.terms = Vocabulary.of(vocabulary) if vocabulary else RADIOGRAPH

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw, if it is due."""
        listening = picture_loggers(trainer)
        if is_due(trainer, self.every_n_epochs) and listening and not trainer.sanity_checking:
            data = cast(PatchDataModule, trainer.datamodule)  # type: ignore[attr-defined]
            self.draw(trainer, cast(PatchAutoencoder, pl_module), data, listening)

    @abstractmethod
    def draw(
        self, trainer: L.Trainer, module: PatchAutoencoder, data: PatchDataModule, loggers: list[RunLogger]
    ) -> None:
        """Draw and pass the pictures to every logger.

        Args:
            trainer: Lightning trainer, for epoch and step.
            module: Module in training.
            data: Data module with the radiographs, lung fields and windows.
            loggers: Loggers that take pictures (`picture_loggers`).
        """
