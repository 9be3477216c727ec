"""Anomaly maps and red frames of validation radiographs for the loggers (the paper's Fig. 10)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import lightning as L
import numpy as np

from pneumo_ad import figures
from pneumo_ad.callbacks.periodic import PeriodicDrawing
from pneumo_ad.data.datamodule import PatchDataModule
from pneumo_ad.figures.style import SMALL
from pneumo_ad.inference import score_radiographs
from pneumo_ad.inference.lung_shares import lung_shares
from pneumo_ad.labels import LABEL_WORDS, NORMAL, PNEUMONIA
from pneumo_ad.loggers import RunLogger
from pneumo_ad.loggers.pictures import step_of
from pneumo_ad.metrics.catalogue import MOSTLY_LUNG
from pneumo_ad.modules.autoencoder import PatchAutoencoder

_QUANTILES = (0.5, 0.9)  # of the scores of the shown radiographs; they bound the ranges of the red frames
_RANGES = ("lower half", "next 40 %", "highest 10 %")


class AnomalyMaps(PeriodicDrawing):
    """Anomaly maps of a few whole radiographs and, per range of the score, red frames around their windows.

    The radiographs are the same ones each time, and so is the colour scale: that of the first drawing, which
    checkpoints keep. Known opacities are outlined. Captions give the mean score of the windows that are mostly lung.

    Args:
        radiographs: Number of radiographs of each class, evenly spaced in the table.
        every_n_epochs: Number of epochs from one drawing to the next; the last epoch is drawn too.
        vocabulary: See `PeriodicDrawing`.
    """

    def __init__(
        self, radiographs: int = 3, every_n_epochs: int = 5, vocabulary: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(every_n_epochs, vocabulary)
        self.radiographs = radiographs
        self._top: float | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return the bright end of the colour scale, None before the first drawing."""
        return {"top": self._top}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the colour scale of a checkpoint."""
        self._top = state_dict["top"]

    def draw(
        self, trainer: L.Trainer, module: PatchAutoencoder, data: PatchDataModule, loggers: list[RunLogger]
    ) -> None:
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
        maps = list(np.concatenate([part.maps["score"] for part in scored]))
        self._top = figures.bright_end(maps) if self._top is None else self._top
        images = [np.asarray(radiographs.images[row]) for row in rows]
        opacities = [np.asarray(radiographs.store.opacity[row]) for row in rows]
        in_lung = np.where(lung_shares(radiographs, rows) > MOSTLY_LUNG, scores, np.nan)
        table = radiographs.store.table.iloc[rows]
        labels = [self.terms.fill(LABEL_WORDS[label]) for label in table["label"]]
        names = [f"{image}\n{label}" for image, label in zip(table["image"], labels, strict=True)]
        nothing = f"no {self.terms.region}"
        means = [f"{np.nanmean(lung):.3g}" if np.isfinite(lung).any() else nothing for lung in in_lung]
        score, unit = type(module.score).__name__, module.score.unit
        captions = [f"{name}, score {mean}" for name, mean in zip(names, means, strict=True)]
        middle, high = np.quantile(scores, _QUANTILES)
        ranges = [(float(scores.min()), middle), (middle, high), (high, float("inf"))]
        drawn = {
            "maps/anomaly": figures.anomaly_maps(
                images, maps, captions, f"{score} ({unit}),\nthe same scale in every epoch", opacities, top=self._top
            ),
            "maps/red_frames": figures.red_frames(
                images, scores, radiographs.grid, ranges, names, score, opacities, _RANGES, terms=self.terms
            ),
        }
        outlined = f"; known {self.terms.anomalies} outlined" if any(mask.any() for mask in opacities) else ""
        words = {
            "maps/anomaly": f"score: mean {score} of the windows that are mostly {self.terms.region}{outlined}",
            "maps/red_frames": "each range of these windows by score, in red frames",
        }
        for name, figure in drawn.items():
            figure.suptitle(f"after epoch {trainer.current_epoch + 1}\n{words[name]}", size=SMALL)
            for logger in loggers:
                logger.log_figure(name, figure, step_of(trainer))
