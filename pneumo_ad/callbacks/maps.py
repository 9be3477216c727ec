"""Anomaly maps and red frames of validation radiographs, in TensorBoard (the paper's Fig. 10)."""

from __future__ import annotations

from typing import cast

import lightning as L
import numpy as np

from pneumo_ad import figures
from pneumo_ad.callbacks.tensorboard import writers
from pneumo_ad.data.datamodule import PatchDataModule
from pneumo_ad.data.table import NORMAL, PNEUMONIA
from pneumo_ad.module import PatchAutoencoder
from pneumo_ad.scoring import score_radiographs

_QUANTILES = (0.5, 0.9)  # of the shown radiographs' scores; between them and beyond are the ranges of the red frames


class AnomalyMaps(L.Callback):
    """Scores a few whole radiographs and draws their anomaly maps and, by range of SAD, red frames.

    Args:
        radiographs: Of each class; the same ones each time.
        every_n_epochs: Draw each so many epochs, and after the last.
    """

    def __init__(self, radiographs: int = 3, every_n_epochs: int = 5) -> None:
        self.radiographs = radiographs
        self.every_n_epochs = every_n_epochs

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw, where it is due."""
        last = trainer.current_epoch + 1 == trainer.max_epochs
        due = last or not (trainer.current_epoch + 1) % self.every_n_epochs
        if trainer.sanity_checking or not due or not writers(trainer):
            return
        module = cast(PatchAutoencoder, pl_module)
        data = cast(PatchDataModule, trainer.datamodule)  # type: ignore[attr-defined]
        rows = np.concatenate(
            [data.exhaustive_patches("val", label, self.radiographs).rows for label in (PNEUMONIA, NORMAL)]
        )
        if not len(rows):
            return
        scored = list(
            score_radiographs(
                module.net, {"score": module.score}, data.store.images, rows, data.grid, map_of="residual"
            )
        )
        scores = np.concatenate([part.scores["score"] for part in scored])
        maps = np.concatenate([part.maps["score"] for part in scored])
        images = [np.asarray(data.store.images[row]) for row in rows]
        opacities = [np.asarray(data.store.opacity[row]) for row in rows]
        names = [f"{data.store.table['image'][row]}\n{data.store.table['label'][row]}" for row in rows]
        middle, high = np.quantile(scores, _QUANTILES)
        ranges = [(float(scores.min()), middle), (middle, high), (high, float("inf"))]
        name = type(module.score).__name__
        for writer in writers(trainer):
            step = trainer.global_step
            writer.add_figure(
                "maps/anomaly", figures.anomaly_maps(images, list(maps), names, module.score.unit, opacities), step
            )
            frames = figures.red_frames(images, scores, data.grid, ranges, names, name, opacities)
            writer.add_figure("maps/red_frames", frames, step)
