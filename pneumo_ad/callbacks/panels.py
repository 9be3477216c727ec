"""Inputs beside their reconstructions during training, in TensorBoard (the paper's Figs. 7 and 8)."""

from __future__ import annotations

from typing import Any

import lightning as L

from pneumo_ad import figures
from pneumo_ad.callbacks.tensorboard import writers
from pneumo_ad.data.datamodule import VAL_KINDS


class ReconstructionPanels(L.Callback):
    """Draws some patches of normal lung and of pneumonia radiographs: the same patches each time.

    Args:
        patches: Columns of a panel.
        every_n_epochs: Draw each so many epochs, and after the last.
    """

    def __init__(self, patches: int = 8, every_n_epochs: int = 5) -> None:
        self.patches = patches
        self.every_n_epochs = every_n_epochs

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw the first batch of a kind."""
        kind = VAL_KINDS[dataloader_idx]
        last = trainer.current_epoch + 1 == trainer.max_epochs
        due = last or not trainer.current_epoch % self.every_n_epochs
        if batch_idx or trainer.sanity_checking or not due or kind == "normal":
            return
        # Evenly spaced: neighbours in a batch overlap and look alike.
        chosen = slice(0, None, max(1, len(outputs["x"]) // self.patches))
        x, y = (outputs[name][chosen][: self.patches, 0].float().cpu().numpy() for name in ("x", "reconstruction"))
        sad = outputs["sad"][chosen][: self.patches].float().cpu().numpy()
        for writer in writers(trainer):
            title = f"{figures.NAMES[kind]}, epoch {trainer.current_epoch}"
            panel = figures.reconstruction_panel(x, y, sad, title)
            writer.add_figure(f"reconstruction/{kind}", panel, global_step=trainer.global_step)
