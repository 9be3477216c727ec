"""Inputs beside their reconstructions during training, in TensorBoard (the paper's Figs. 7 and 8)."""

from __future__ import annotations

from typing import cast

import lightning as L
import numpy as np

from pneumo_ad import figures
from pneumo_ad.callbacks.tensorboard import writers
from pneumo_ad.data.datamodule import PatchDataModule
from pneumo_ad.data.datasets import PatchDataset
from pneumo_ad.data.table import PNEUMONIA
from pneumo_ad.module import PatchAutoencoder, to_unit


class ReconstructionPanels(L.Callback):
    """Draws some patches of normal lung and of pneumonia radiographs: the same patches each time.

    Args:
        patches: Columns of a panel.
        every_n_epochs: Draw each so many epochs, and after the last.
    """

    def __init__(self, patches: int = 8, every_n_epochs: int = 5) -> None:
        self.patches = patches
        self.every_n_epochs = every_n_epochs

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw, where it is due."""
        last = trainer.current_epoch + 1 == trainer.max_epochs
        due = last or not (trainer.current_epoch + 1) % self.every_n_epochs
        if trainer.sanity_checking or not due or not writers(trainer):
            return
        module, data = cast(PatchAutoencoder, pl_module), cast(PatchDataModule, trainer.datamodule)  # type: ignore[attr-defined]
        datasets: dict[str, PatchDataset] = {
            "normal_lung": data.normal_lung_patches("val"),
            "pneumonia": data.exhaustive_patches("val", PNEUMONIA, data.val_images),
        }
        for kind, dataset in datasets.items():
            if not len(dataset):
                continue
            # Evenly over all of them: neighbours overlap and look alike.
            numbers = np.linspace(0, len(dataset) - 1, min(self.patches, len(dataset))).round().astype(int)
            examined = module.examine(to_unit(dataset.cut(numbers)["patch"].to(module.device)))
            x, y = (examined[name][:, 0].float().cpu().numpy() for name in ("x", "reconstruction"))
            sad = examined["sad"].float().cpu().numpy()
            title = f"{figures.NAMES[kind]}, epoch {trainer.current_epoch}"
            for writer in writers(trainer):
                panel = figures.reconstruction_panel(x, y, sad, title)
                writer.add_figure(f"reconstruction/{kind}", panel, global_step=trainer.global_step)
