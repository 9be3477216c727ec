"""Precision-recall curves and AUROCs of validation windows and pixels, where the truth is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import lightning as L
import numpy as np
import numpy.typing as npt
import torch

from pneumo_ad.callbacks.periodic import is_due
from pneumo_ad.data.datamodule import PatchDataModule
from pneumo_ad.data.datasets import VAL_KINDS
from pneumo_ad.data.radiographs import Radiographs
from pneumo_ad.inference.window_kinds import window_kinds
from pneumo_ad.labels import (
    HEALTHY,
    IN_OPACITY,
    NORMAL,
    OPACITY,
    OUTSIDE,
    PADDING,
    PNEUMONIA,
    RADIOGRAPH,
    Vocabulary,
)
from pneumo_ad.loggers.pictures import picture_loggers, step_of
from pneumo_ad.metrics.precision_recall import counts_at_quantiles
from pneumo_ad.metrics.ranking import auroc

CURVES = ("patch_opacity_vs_healthy", "pixel")

_NONE = -np.inf  # score of a window that validation left out
_Samples = tuple[npt.NDArray[np.floating], npt.NDArray[np.bool_]]  # scores, and which are positive


class PrecisionRecall(L.Callback):
    """Precision-recall curves of the windows that validation scores anyway, and of pixels, and their AUROCs.

    Curves `precision_recall_val/...`: `patch_opacity_vs_healthy`, windows of opacity against healthy lung, and `pixel`,
    pixels of opacity against all others; a pixel's score is the mean of its windows'. Scalars `val/auroc_...`, after
    each validation: that of these windows, `patch_outside_vs_healthy`, `patch_pneumonia_vs_normal` (windows of
    pneumonia against those of normal radiographs), and with the curves `pixel`. They need truth and are there to be
    watched: the best checkpoint is chosen by `val/loss`, which needs none. Curves that the data do not allow are named
    in a text.

    Args:
        every_n_epochs: Number of epochs from one curve to the next; the last epoch is drawn too.
        vocabulary: Words for what the images show, all of `labels.Vocabulary`; None speaks of radiographs.
    """

    def __init__(self, every_n_epochs: int = 5, vocabulary: Mapping[str, str] | None = None) -> None:
        self.every_n_epochs = every_n_epochs
        self.terms = Vocabulary.of(vocabulary) if vocabulary else RADIOGRAPH
        self._truth: _Truth | None = None
        self._told = False

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Gather the truth before the first validation; reset the scores."""
        if self._truth is None:
            datamodule = cast(PatchDataModule, trainer.datamodule)  # type: ignore[attr-defined]
            self._truth = _Truth(datamodule.radiographs, datamodule.val_images)
        self._scores = np.full(self._truth.kinds.shape, _NONE, dtype=np.float32)

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the scores of a batch of windows; nets that judge whole radiographs give none."""
        if VAL_KINDS[dataloader_idx] != "normal_lung" and isinstance(outputs, Mapping):
            assert self._truth is not None
            self._scores[self._truth.places(batch["where"].cpu().numpy())] = outputs["score"].float().cpu().numpy()

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log AUROCs, and the curves if they are due."""
        if trainer.sanity_checking:
            return
        assert self._truth is not None
        if trainer.world_size > 1:  # each window is scored by one process
            here = torch.as_tensor(self._scores, device=trainer.strategy.root_device)
            self._scores = trainer.strategy.reduce(here, reduce_op="max").cpu().numpy()
        due = is_due(trainer, self.every_n_epochs)
        samples = self._truth.windows(self._scores) | (self._truth.pixels(self._scores) if due else {})
        ranked = {name: (scores, true) for name, (scores, true) in samples.items() if true.any() and not true.all()}
        for name, (scores, true) in ranked.items():
            pl_module.log(f"val/auroc_{name}", auroc(scores, true), sync_dist=True)
        if due:
            self._draw(trainer, ranked)

    def _draw(self, trainer: L.Trainer, ranked: Mapping[str, _Samples]) -> None:
        """Log the curves, and the first time what is left out."""
        drawn = [name for name in CURVES if name in ranked]
        for logger in picture_loggers(trainer):
            for name in drawn:
                logger.log_curve(f"precision_recall_val/{name}", counts_at_quantiles(*ranked[name]), step_of(trainer))
            if len(drawn) < len(CURVES) and not self._told:
                missing = [name for name in CURVES if name not in ranked]
                logger.log_text("left_out/precision_recall_val", self._reason(missing), step_of(trainer))
        self._told = True

    def _reason(self, missing: Sequence[str]) -> str:
        assert self._truth is not None
        opaque = int((self._truth.kinds == OPACITY).any(axis=1).sum())
        scored = int((self._scores != _NONE).all(axis=1).sum())
        return (
            f"No precision-recall curve of {' and '.join(f'`{name}`' for name in missing)}: of the "
            f"{len(self._truth.rows)} {self.terms.images} that validation scores, {opaque} hold a window that is known "
            f"to be {self.terms.anomaly} (by masks or boxes), and {scored} were scored window by window. A curve needs "
            f"both what is {self.terms.anomaly} and what is not."
        )


class _Truth:
    """Truth of the windows and pixels of the radiographs that validation scores whole.

    Args:
        data: Radiographs, with their lung fields and windows.
        images: Largest number of radiographs of each class.
    """

    def __init__(self, data: Radiographs, images: int) -> None:
        chosen = [data.exhaustive_patches("val", label, images).rows for label in (NORMAL, PNEUMONIA)]
        self.data = data
        self.rows = np.sort(np.concatenate(chosen))
        self.kinds = window_kinds(data, self.rows)
        self.pneumonia = np.isin(self.rows, chosen[1])

    def places(self, where: npt.NDArray[np.integer]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return place in `rows` and number of each window, from row, top and left, (B, 3)."""
        row, top, left = where.T
        grid = self.data.grid
        number = np.searchsorted(grid.tops, top) * len(grid.lefts) + np.searchsorted(grid.lefts, left)
        return np.searchsorted(self.rows, row), number

    def windows(self, scores: npt.NDArray[np.float32]) -> dict[str, _Samples]:
        """Return scores and truth of windows by question; (I, N) scores, those that are missing are left out."""
        scored = scores != _NONE
        healthy = self.kinds == HEALTHY
        sick = np.broadcast_to(self.pneumonia[:, None], scores.shape)
        questions = {
            "patch_opacity_vs_healthy": (self.kinds == OPACITY, healthy),
            "patch_outside_vs_healthy": (self.kinds == OUTSIDE, healthy),
            "patch_pneumonia_vs_normal": (sick & (self.kinds != PADDING), ~sick & (self.kinds != PADDING)),
        }
        return {
            name: (scores[both], positive[both])
            for name, (positive, negative) in questions.items()
            for both in [(positive | negative) & scored]
        }

    def pixels(self, scores: npt.NDArray[np.float32]) -> dict[str, _Samples]:
        """Return scores and truth of the pixels of wholly scored radiographs, as the question `pixel`."""
        truth, grid = self.data.truth, self.data.grid
        places = np.flatnonzero(truth.known[self.rows] & (scores != _NONE).all(axis=1))
        values, opaque = [np.zeros(0, dtype=np.float32)], [np.zeros(0, dtype=bool)]
        for place in places:
            row = self.rows[place]
            valued = grid.covered & (self.data.content(self.rows[place : place + 1])[0] == 1)
            values.append(grid.paint(torch.from_numpy(scores[place : place + 1]))[0, 0].numpy()[valued])
            opaque.append((truth.pixels(row) == IN_OPACITY)[valued])
        return {"pixel": (np.concatenate(values), np.concatenate(opaque))}
