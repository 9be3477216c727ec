"""Nets that were trained by another library, as a run of this one."""

from __future__ import annotations

import logging

import torch
from torch import Tensor

from pneumo_ad.data.batch import patches_of
from pneumo_ad.data.datasets import VAL_KINDS, PatchBatch
from pneumo_ad.errors import ConfigError
from pneumo_ad.modules.base import NetModule
from pneumo_ad.nets import AnomalibNet
from pneumo_ad.scores import Judgement, Score

log = logging.getLogger(__name__)


class TrainedNet(NetModule):
    """A net that is ready: its run trains nothing, and is evaluated, reported and predicted with as any other.

    Needs whole radiographs (`PatchDataModule(view="image")`). Logs `val/loss`: mean anomaly of held-out normal lung.

    Args:
        net: The net, an `AnomalibNet`.
        score: Score of input and output; default `Judgement()`.

    Raises:
        ConfigError: Another net, which would stay untrained.
    """

    view = "image"
    net: AnomalibNet

    def __init__(self, net: AnomalibNet, score: Score | None = None) -> None:
        super().__init__(net, score if score is not None else Judgement())
        if not isinstance(net, AnomalibNet):
            raise ConfigError(
                f"module=trained trains nothing, and takes net=anomalib; {type(net).__name__} would stay untrained"
            )

    def try_out(self, x: Tensor) -> None:
        """See `NetModule`; says how radiographs are shown to the net."""
        shown = self.net.shown(x)
        sizes = [" x ".join(map(str, one.shape[-2:])) for one in (x, shown)]
        done = "" if self.net.transform else ", otherwise as they are"
        if sizes[0] != sizes[1]:
            done += f"; those of {sizes[0]} are resized for it, and its maps back"
        log.info("the net sees images of %s, their grey in %d channels%s", sizes[1], shown.shape[1], done)
        self(x)

    def training_step(self, batch: PatchBatch, batch_idx: int) -> None:
        """Learn nothing."""

    @torch.no_grad()
    def validation_step(self, batch: PatchBatch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Log the mean anomaly of held-out normal lung."""
        if VAL_KINDS[dataloader_idx] == "normal_lung":
            anomaly: Tensor = self(patches_of(batch, "lung")).anomaly
            inside = anomaly[batch["lung"] == 1]
            if inside.numel():  # a batch in which no lung was found has none
                self.log("val/loss", inside.mean(), prog_bar=True, add_dataloader_idx=False, batch_size=len(anomaly))
