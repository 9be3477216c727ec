"""Anomaly maps and red frames of validation radiographs for the loggers (the paper's Fig. 10)."""

from __future__ import annotations

import lightning as L
import numpy as np
from lightning.pytorch.loggers import Logger

from pneumo_ad import figures
from pneumo_ad.callbacks.periodic import PeriodicDrawing
from pneumo_ad.data.datamodule import PatchDataModule
from pneumo_ad.inference import score_radiographs
from pneumo_ad.labels import NORMAL, PNEUMONIA
from pneumo_ad.loggers.pictures import log_figure
from pneumo_ad.modules.autoencoder import PatchAutoencoder

_QUANTILES = (0.5, 0.9)  # of the scores of the shown radiographs; they bound the ranges of the red frames


class AnomalyMaps(PeriodicDrawing):
    """Anomaly maps of a few whole radiographs and, per range of the score, red frames around their windows.

    Args:
        radiographs: Number of radiographs of each class; the same ones each time.
        every_n_epochs: Number of epochs from one drawing to the next; the last epoch is drawn too.
    """

    def __init__(self, radiographs: int = 3, every_n_epochs: int = 5) -> None:
        super().__init__(every_n_epochs)
        self.radiographs = radiographs

    def draw(self, trainer: L.Trainer, module: PatchAutoencoder, data: PatchDataModule, loggers: list[Logger]) -> None:
        """Draw maps and frames of the same radiographs; see `PeriodicDrawing.draw`."""
        radiographs = data.radiographs
        shown = [radiographs.exhaustive_patches("val", label, self.radiographs).rows for label in (PNEUMONIA, NORMAL)]
        rows = np.concatenate(shown)
        if not len(rows):
            return
        scored = list(
            score_radiographs(
                module.net,
                {"score": module.score},
                radiographs.images,
                rows,
                radiographs.grid,
                map_of="residual",
                halo=radiographs.halo,
            )
        )
        scores = np.concatenate([part.scores["score"] for part in scored])
        maps = np.concatenate([part.maps["score"] for part in scored])
        images = [np.asarray(radiographs.images[row]) for row in rows]
        opacities = [np.asarray(radiographs.store.opacity[row]) for row in rows]
        names = [f"{radiographs.store.table['image'][row]}\n{radiographs.store.table['label'][row]}" for row in rows]
        middle, high = np.quantile(scores, _QUANTILES)
        ranges = [(float(scores.min()), middle), (middle, high), (high, float("inf"))]
        name = type(module.score).__name__
        drawn = figures.anomaly_maps(images, list(maps), names, module.score.unit, opacities)
        log_figure(loggers, "maps/anomaly", drawn, trainer.global_step)
        frames = figures.red_frames(images, scores, radiographs.grid, ranges, names, name, opacities)
        log_figure(loggers, "maps/red_frames", frames, trainer.global_step)
