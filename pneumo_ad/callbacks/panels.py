"""Inputs and their reconstructions during training for the loggers (the paper's Figs. 7 and 8)."""

from __future__ import annotations

from collections.abc import Mapping

import lightning as L

from pneumo_ad import figures
from pneumo_ad.callbacks.periodic import PeriodicDrawing
from pneumo_ad.data.datamodule import PatchDataModule
from pneumo_ad.data.datasets import PatchDataset
from pneumo_ad.data.evenly_spaced import evenly_spaced
from pneumo_ad.labels import PNEUMONIA
from pneumo_ad.loggers import RunLogger
from pneumo_ad.loggers.pictures import step_of
from pneumo_ad.modules.autoencoder import PatchAutoencoder
from pneumo_ad.modules.base import to_unit


class ReconstructionPanels(PeriodicDrawing):
    """Panels of patches of normal lung and of pneumonia radiographs, the same patches each time.

    Args:
        patches: Number of patches, the columns of a panel.
        every_n_epochs: Number of epochs from one drawing to the next; the last epoch is drawn too.
        vocabulary: See `PeriodicDrawing`.
    """

    def __init__(self, patches: int = 8, every_n_epochs: int = 5, vocabulary: Mapping[str, str] | None = None) -> None:
        super().__init__(every_n_epochs, vocabulary)
        self.patches = patches

    def draw(
        self, trainer: L.Trainer, module: PatchAutoencoder, data: PatchDataModule, loggers: list[RunLogger]
    ) -> None:
        """Draw one panel per kind of patch; see `PeriodicDrawing.draw`."""
        datasets: dict[str, PatchDataset] = {
            "normal_lung": data.radiographs.normal_lung_patches("val"),
            "pneumonia": data.radiographs.exhaustive_patches("val", PNEUMONIA, data.val_images),
        }
        for kind, dataset in datasets.items():
            if not len(dataset):
                continue
            numbers = evenly_spaced(len(dataset), self.patches)
            examined = module.examine(to_unit(dataset.cut(numbers)["patch"].to(module.device)))
            x, y = (examined[name][:, 0].float().cpu().numpy() for name in ("x", "reconstruction"))
            sad = examined["sad"].float().cpu().numpy()
            panel = figures.reconstruction_panel(
                x, y, sad, f"{self.terms.fill(figures.NAMES[kind])}, after epoch {trainer.current_epoch + 1}"
            )
            for logger in loggers:
                logger.log_figure(f"reconstruction/{kind}", panel, step_of(trainer))
