"""Training of a net that learns by counting."""

from __future__ import annotations

import torch
from torch import Tensor

from pneumo_ad.data.datasets import VAL_KINDS, PatchBatch
from pneumo_ad.errors import ConfigError
from pneumo_ad.modules.base import NetModule, to_unit
from pneumo_ad.nets import FeatureGaussian
from pneumo_ad.scores import Judgement, Score


class FeatureDetector(NetModule):
    """Shows a `FeatureGaussian` every normal radiograph once; there is no gradient descent.

    Needs whole radiographs (`PatchDataModule(view="image")`). Logs `val/loss`: mean distance of normal lung.

    Args:
        net: Net to train, a `FeatureGaussian`.
        score: Turns input and output into a map and a score; default `Judgement()`.

    Raises:
        ConfigError: Another kind of net.
    """

    view = "image"

    def __init__(self, net: FeatureGaussian, score: Score | None = None) -> None:
        super().__init__(net, score if score is not None else Judgement())
        if not isinstance(net, FeatureGaussian):
            raise ConfigError(
                f"module=feature_detector trains net=feature_gaussian or net=feature_gaussian_lung, got "
                f"{type(net).__name__}; module=autoencoder trains nets that reconstruct"
            )

    def on_fit_start(self) -> None:
        """See that it can count.

        Raises:
            ConfigError: Several processes, which would count apart, or several epochs, which would count twice.
        """
        if self.trainer.world_size > 1 or self.trainer.max_epochs != 1:
            raise ConfigError(
                "module=feature_detector counts every radiograph once: trainer.devices=1 trainer.max_epochs=1, got "
                f"{self.trainer.world_size} processes and max_epochs={self.trainer.max_epochs}"
            )

    def try_out(self, x: Tensor) -> None:
        """See `NetModule`; there is no distance before anything was counted."""
        assert isinstance(self.net, FeatureGaussian)
        self.net.describe(x)

    def training_step(self, batch: PatchBatch, batch_idx: int) -> None:
        """Count a batch of normal radiographs in."""
        assert isinstance(self.net, FeatureGaussian)
        self.net.observe(to_unit(batch["patch"]), batch["lung"])

    @torch.no_grad()
    def validation_step(self, batch: PatchBatch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Distance of held-out normal lung."""
        if VAL_KINDS[dataloader_idx] == "normal_lung":
            anomaly: Tensor = self(batch["patch"]).anomaly
            inside = anomaly[batch["lung"] == 1]
            if inside.numel():  # a batch in which no lung was found has no distance
                self.log("val/loss", inside.mean(), prog_bar=True, add_dataloader_idx=False, batch_size=len(anomaly))
