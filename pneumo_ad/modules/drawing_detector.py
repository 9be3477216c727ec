"""Training of a net that tells the three kinds apart, on a mixture of drawings in normal radiographs."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics.classification import BinaryAUROC

from pneumo_ad.data.batch import to_unit
from pneumo_ad.data.datasets import VAL_KINDS, PatchBatch
from pneumo_ad.drawings import Drawing
from pneumo_ad.errors import ConfigError
from pneumo_ad.labels import OPACITY
from pneumo_ad.lungs.training import dice
from pneumo_ad.lungs.warm_start import begin_as_segmenter
from pneumo_ad.modules.base import OptimizerFactory
from pneumo_ad.modules.detector import Detector, kinds_of_squares
from pneumo_ad.nets import KindUNet
from pneumo_ad.scores import OpacityChance, Score

_EVERY = 4  # pixel of a row and of a column that validation looks at


class DrawingDetector(Detector):
    """Draws anomalies into normal radiographs and teaches a `KindUNet` to find them.

    No anomaly that anybody labelled is seen; the lungs come from lung fields. Needs whole radiographs
    (`PatchDataModule(view="image")`). Logs `train/loss` and `val/loss`, per pixel, and with `unseen`
    `val/auroc_unseen`: pixels of the lung, drawn against not.

    The loss is cross entropy, in which opacity counts `opacity_weight` times, and one minus a soft Dice of opacity, so
    that small lesions count.

    Args:
        net: To be trained.
        drawing: Draws into the radiographs of a batch.
        unseen: Draws families that are not trained on, to validate by (Baugh et al. 2023, MICCAI): what is found of
            them tells of anomalies nobody thought of, and needs no label.
        optimizer: Parameters -> optimizer.
        score: Default `OpacityChance(outside=0.5)`.
        opacity_weight: Weight of opacity in the cross entropy; the other kinds have 1.
        dice: Weight of the Dice loss.
        warm_start: Begin with the U-net of a lung segmenter, which knows the lungs already: a file of `pneumo-ad
            train-lungs`, read when the training begins.
        one_cycle: Take the learning rate through one cycle, up to the optimizer's and down to nothing (Smith 2018).
        seed: Fixes what is drawn in each (epoch, batch).

    Raises:
        ConfigError: Another net, or a negative weight; when the training begins, a net of another size than that of
            `warm_start`.
    """

    def __init__(
        self,
        net: KindUNet,
        drawing: Drawing,
        optimizer: OptimizerFactory,
        score: Score | None = None,
        opacity_weight: float = 2.0,
        dice: float = 1.0,
        warm_start: str | Path | None = None,
        one_cycle: bool = True,
        unseen: Drawing | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(net, score if score is not None else OpacityChance(outside=0.5), optimizer)
        if not isinstance(net, KindUNet):
            raise ConfigError(f"module=drawing_detector trains net=kind_unet, got {type(net).__name__}")
        if opacity_weight <= 0 or dice < 0:
            raise ConfigError(f"opacity_weight={opacity_weight} must be above 0, dice={dice} at least 0")
        self.drawing = drawing
        self.unseen = unseen
        self.found_unseen = BinaryAUROC()
        self.dice = dice
        self.warm_start = warm_start
        self.one_cycle = one_cycle
        self.seed = seed
        self.opacity_weight = opacity_weight

    def setup(self, stage: str) -> None:
        """Warm the net up before its training; one that is resumed has its own weights."""
        if stage == "fit" and self.warm_start and self.trainer.ckpt_path is None:
            begin_as_segmenter(self.net, self.warm_start)

    def loss(self, batch: PatchBatch, generator: torch.Generator) -> Tensor:
        """See `Detector`."""
        x, lung = to_unit(batch["patch"]), batch["lung"].float()
        drawn = self.drawing(x, lung, generator)
        target = kinds_of_squares(lung, F.max_pool2d(drawn.mask, 2) > 0)
        logits = self.net.logits(drawn.x).float()
        weights = torch.ones(3, device=x.device)
        weights[OPACITY] = self.opacity_weight
        loss = F.cross_entropy(logits, target, weights)
        return loss + self.dice * dice_of_opacity(logits, target) if self.dice else loss

    def validation_step(self, batch: PatchBatch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """The loss of held-out normal radiographs, and what is found in them of families that are not trained on."""
        super().validation_step(batch, batch_idx, dataloader_idx)
        if self.unseen is None or VAL_KINDS[dataloader_idx] != "normal_lung":
            return
        lung = batch["lung"].float()
        drawn = self.unseen(to_unit(batch["patch"]), lung, self.generator(0, batch_idx, lung.device))
        output = self.net(drawn.x)
        kept = (..., slice(None, None, _EVERY), slice(None, None, _EVERY))
        inside = lung[kept] > 0.5
        chance = self.score.residual_map(drawn.x, output)[kept][inside].float()
        self.found_unseen.update(chance, drawn.mask[kept][inside].long())
        self.log("val/auroc_unseen", self.found_unseen, add_dataloader_idx=False, batch_size=len(lung))

    def configure_optimizers(self):  # type: ignore[no-untyped-def] # noqa: ANN201 - Lightning's own type is a union of ten
        """Optimiser of the net's parameters, its learning rate on one cycle where one is asked for."""
        optimizer = super().configure_optimizers()
        if optimizer is None or not self.one_cycle:
            return optimizer
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=optimizer.param_groups[0]["lr"],
            total_steps=int(self.trainer.estimated_stepping_batches),
            pct_start=0.2,
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def dice_of_opacity(logits: Tensor, target: Tensor) -> Tensor:
    """One minus the soft Dice of opacity (Milletari et al. 2016, 3DV), the mean over radiographs: in [0, 1].

    Each radiograph counts alike, so that one with a few small spots weighs as much as one with a white lung; those
    without opacity are left out, which the cross entropy has.

    Args:
        logits: (B, 3, H, W).
        target: (B, H, W) int64.

    Returns:
        A scalar; 0 where no radiograph has any opacity.
    """
    chance, true = logits.softmax(dim=1)[:, OPACITY].flatten(1), (target == OPACITY).float().flatten(1)
    shown = true.amax(dim=1)
    return ((1 - dice(chance, true)) * shown).sum() / shown.sum().clamp_min(1)
