"""Training of a net that tells the three kinds apart, on a mixture of drawings in normal radiographs."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from pneumo_ad.data.datasets import PatchBatch
from pneumo_ad.drawings import Drawing
from pneumo_ad.errors import ConfigError
from pneumo_ad.labels import HEALTHY, OPACITY, OUTSIDE
from pneumo_ad.lungs.warm_start import begin_as_segmenter
from pneumo_ad.modules.base import OptimizerFactory, to_unit
from pneumo_ad.modules.detector import Detector
from pneumo_ad.nets import KindUNet
from pneumo_ad.scores import OpacityInLung, Score


class DrawingDetector(Detector):
    """Draws anomalies into normal radiographs and teaches a `KindUNet` to find them.

    No anomaly that anybody labelled is seen; the lungs come from lung fields. Needs whole radiographs
    (`PatchDataModule(view="image")`). Logs `train/loss` and `val/loss`, per pixel.

    The loss is cross entropy, in which opacity counts `opacity_weight` times, and one minus a soft Dice of opacity, so
    that small lesions count.

    Args:
        net: To be trained.
        drawing: Draws into the radiographs of a batch.
        optimizer: Parameters -> optimizer.
        score: Default `OpacityInLung()`.
        opacity_weight: Weight of opacity in the cross entropy; the other kinds have 1.
        dice: Weight of the Dice loss.
        warm_start: Begin with the U-net of the lung segmenter that ships, which knows the lungs already.
        one_cycle: Take the learning rate through one cycle, up to the optimizer's and down to nothing (Smith 2018).
        seed: Fixes what is drawn in each (epoch, batch).

    Raises:
        ConfigError: Another net, a negative weight, or (with `warm_start`) a net of another size.
    """

    def __init__(
        self,
        net: KindUNet,
        drawing: Drawing,
        optimizer: OptimizerFactory,
        score: Score | None = None,
        opacity_weight: float = 2.0,
        dice: float = 1.0,
        warm_start: bool = False,
        one_cycle: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__(net, score if score is not None else OpacityInLung(), optimizer)
        if not isinstance(net, KindUNet):
            raise ConfigError(f"module=drawing_detector trains net=kind_unet, got {type(net).__name__}")
        if opacity_weight <= 0 or dice < 0:
            raise ConfigError(f"opacity_weight={opacity_weight} must be above 0, dice={dice} at least 0")
        if warm_start:
            begin_as_segmenter(net)
        self.drawing = drawing
        self.dice = dice
        self.one_cycle = one_cycle
        self.seed = seed
        self.opacity_weight = opacity_weight

    def loss(self, batch: PatchBatch, generator: torch.Generator) -> Tensor:
        """See `Detector`."""
        x, lung = to_unit(batch["patch"]), batch["lung"].float()
        drawn = self.drawing(x, lung, generator)
        target = kinds_of_squares(lung, drawn.mask)
        assert isinstance(self.net, KindUNet)
        logits = self.net.logits(drawn.x).float()
        weights = torch.ones(3, device=x.device)
        weights[OPACITY] = self.opacity_weight
        loss = F.cross_entropy(logits, target, weights)
        return loss + self.dice * dice_of_opacity(logits, target) if self.dice else loss

    def configure_optimizers(self):  # type: ignore[no-untyped-def] # noqa: ANN201 - Lightning's own type is a union of ten
        """What the factory makes of the net's parameters, its learning rate on one cycle where one is asked for."""
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


def kinds_of_squares(lung: Tensor, mask: Tensor) -> Tensor:
    """What each 2 x 2 pixels are.

    Args:
        lung: (B, 1, H, W) float of 0 and 1.
        mask: (B, 1, H, W) float of 0 and 1, what was drawn.

    Returns:
        (B, H / 2, W / 2) int64 of `HEALTHY`, `OPACITY` and `OUTSIDE`.
    """
    kinds = torch.where(F.max_pool2d(mask, 2) > 0, OPACITY, HEALTHY)
    return torch.where(F.avg_pool2d(lung, 2) < 0.5, OUTSIDE, kinds)[:, 0]


def dice_of_opacity(logits: Tensor, target: Tensor) -> Tensor:
    """One minus the soft Dice of opacity (Milletari et al. 2016, 3DV), the mean over radiographs: in [0, 1].

    The chance is that of opacity where there is lung, and the lung alone is looked at: a white lung that looks like what
    lies about it is opacity all the same. Each radiograph counts alike, so that one with a few small spots weighs as much as one with a white lung; those
    without opacity are left out, which the cross entropy has.

    Args:
        logits: (B, 3, H, W).
        target: (B, H, W) int64.

    Returns:
        A scalar; 0 where no radiograph has any opacity.
    """
    chance = (logits[:, OPACITY] - logits[:, HEALTHY]).sigmoid() * (target != OUTSIDE)
    chance, true = chance.flatten(1), (target == OPACITY).float().flatten(1)
    dice = (2 * (chance * true).sum(dim=1) + 1) / (chance.sum(dim=1) + true.sum(dim=1) + 1)
    shown = true.amax(dim=1)
    return ((1 - dice) * shown).sum() / shown.sum().clamp_min(1)
