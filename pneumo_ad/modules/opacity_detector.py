"""Training of a net that tells the three kinds apart, on opacities drawn into normal radiographs."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from pneumo_ad.corruptions import DrawnOpacity
from pneumo_ad.corruptions.exposure import expose
from pneumo_ad.data.batch import to_unit
from pneumo_ad.data.datasets import PatchBatch
from pneumo_ad.drawings.drawing import quantile_outside
from pneumo_ad.errors import ConfigError
from pneumo_ad.lungs.warm_start import begin_as_segmenter
from pneumo_ad.modules.base import OptimizerFactory
from pneumo_ad.modules.detector import Detector, kinds_of_squares
from pneumo_ad.nets import KindUNet
from pneumo_ad.scores import OpacityChance, Score

_VISIBLE = 0.12  # share of the way to tissue from which a pixel counts as opacity
_TEXTURE = 24  # values across a radiograph from which an opacity's unevenness is interpolated


class OpacityDetector(Detector):
    """Draws opacities into the lungs of normal radiographs and teaches a `KindUNet` to find them.

    No opacity that anybody labelled is seen; the lungs come from lung fields. Needs whole radiographs
    (`PatchDataModule(view="image")`). Logs `train/loss` and `val/loss`, cross entropy per pixel.

    Args:
        net: To be trained.
        corruption: Draws one opacity at a time.
        optimizer: Parameters -> optimizer.
        score: Default `OpacityChance()`.
        layers: Opacities drawn at most into one radiograph.
        warm_start: Begin with the U-net of the lung segmenter that ships, which knows the lungs already.
        seed: Fixes what is drawn in each (epoch, batch).

    Raises:
        ConfigError: Another net or corruption, no layer, or (with `warm_start`) a net of another size.
    """

    def __init__(
        self,
        net: KindUNet,
        corruption: DrawnOpacity,
        optimizer: OptimizerFactory,
        score: Score | None = None,
        layers: int = 4,
        warm_start: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__(net, score if score is not None else OpacityChance(), optimizer)
        if not (isinstance(net, KindUNet) and isinstance(corruption, DrawnOpacity)):
            raise ConfigError(
                "module=opacity_detector trains net=kind_unet with corruption=drawn_opacity, got "
                f"{type(net).__name__} and {type(corruption).__name__}"
            )
        if layers < 1:
            raise ConfigError(f"layers={layers} must be at least 1")
        if warm_start:
            begin_as_segmenter(net)
        self.corruption = corruption
        self.layers = layers
        self.seed = seed

    def loss(self, batch: PatchBatch, generator: torch.Generator) -> Tensor:
        """See `Detector`."""
        x, lung = to_unit(batch["patch"]), batch["lung"].float()
        drawn, share = draw_opacities(x, lung, self.corruption, self.layers, generator)
        target = kinds_of_squares(lung, F.avg_pool2d(share, 2) > _VISIBLE)
        return F.cross_entropy(self.net.logits(expose(drawn, generator)).float(), target)


def draw_opacities(
    x: Tensor, lung: Tensor, corruption: DrawnOpacity, layers: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw opacities into the lungs, uneven and towards the radiograph's own tissue.

    Args:
        x: (B, 1, H, W) in [0, 1].
        lung: (B, 1, H, W) float of 0 and 1.
        corruption: Draws one opacity, or none, per radiograph and layer.
        layers: Number of layers, and so the largest number of opacities in a radiograph.
        generator: Random generator on the device of `x`.

    Returns:
        The radiographs with opacities, and (B, 1, H, W) how far each pixel went to tissue, in [0, 1), 0 outside lungs.
    """
    share = torch.stack([corruption.draw(x, generator) for _ in range(layers)]).amax(dim=0)
    share = share * F.avg_pool2d(lung, 7, stride=1, padding=3) * lung
    waves = torch.randn((len(x), 1, _TEXTURE, _TEXTURE), generator=generator, device=x.device)
    uneven = F.interpolate(waves, x.shape[-2:], mode="bicubic", align_corners=False)
    share = (share * (1 + 0.25 * uneven)).clamp(0, 0.97)
    at = 0.4 + 0.5 * torch.rand(len(x), generator=generator, device=x.device)
    return corruption.veil(x, share, quantile_outside(x, lung, at)), share
