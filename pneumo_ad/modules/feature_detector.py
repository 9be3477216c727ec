"""Training of nets by accumulated moments, without gradients."""

from __future__ import annotations

import torch
from torch import Tensor

from pneumo_ad.data.batch import patches_of
from pneumo_ad.data.datasets import VAL_KINDS, PatchBatch
from pneumo_ad.errors import ConfigError
from pneumo_ad.modules.base import NetModule
from pneumo_ad.nets import AlignedGaussian, FeatureGaussian, NormalLung
from pneumo_ad.scores import Excess, Judgement, JudgementInLung, Score


class FeatureDetector(NetModule):
    """Fit of a `FeatureGaussian`, `AlignedGaussian` or `NormalLung`: one pass over the normals, no gradient descent.

    Needs whole radiographs (`PatchDataModule(view="image")`). Logs `val/loss`: mean score of normal lung.

    Args:
        net: Net to train.
        score: Score of input and output; default `Judgement()`, of an `AlignedGaussian` `JudgementInLung()`, of a
            `NormalLung` `Excess()`.

    Raises:
        ConfigError: Another net.
    """

    view = "image"
    net: FeatureGaussian | NormalLung

    def __init__(self, net: FeatureGaussian | NormalLung, score: Score | None = None) -> None:
        of_lung = Excess() if isinstance(net, NormalLung) else JudgementInLung()
        default = of_lung if isinstance(net, (NormalLung, AlignedGaussian)) else Judgement()
        super().__init__(net, score if score is not None else default)
        if not isinstance(net, (FeatureGaussian, NormalLung)):
            raise ConfigError(
                "module=feature_detector trains net=feature_gaussian, net=feature_gaussian_lung, "
                "net=aligned_gaussian or net=normal_lung, "
                f"got {type(net).__name__}; module=autoencoder trains nets that reconstruct"
            )

    def on_fit_start(self) -> None:
        """Check for a single process and a single epoch.

        Raises:
            ConfigError: Several processes, whose moments would be separate, or several epochs, which would count twice.
        """
        if self.trainer.world_size > 1 or self.trainer.max_epochs != 1:
            raise ConfigError(
                "module=feature_detector counts every image once: trainer.devices=1 trainer.max_epochs=1, got "
                f"{self.trainer.world_size} processes and max_epochs={self.trainer.max_epochs}"
            )

    def try_out(self, x: Tensor) -> None:
        """See `NetModule`; computes features only, as there is no distance before training."""
        self.net.describe(x)

    def training_step(self, batch: PatchBatch, batch_idx: int) -> None:
        """Add a batch of normal radiographs to the moments."""
        self.net.observe(patches_of(batch, "lung"), batch["lung"])

    @torch.no_grad()
    def validation_step(self, batch: PatchBatch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Log the mean score of held-out normal lung."""
        if VAL_KINDS[dataloader_idx] == "normal_lung":
            x = patches_of(batch, "lung")
            inside = self.score.residual_map(x, self(x))[batch["lung"] == 1]
            if inside.numel():  # a batch in which no lung was found has no distance
                self.log("val/loss", inside.mean(), prog_bar=True, add_dataloader_idx=False, batch_size=len(x))
