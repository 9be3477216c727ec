"""U-net that classifies every pixel as one of the three kinds.

Trained on normal radiographs with synthetic opacities, as DRAEM's discriminator (Zavrtanik et al. 2021, ICCV) on
synthetic defects; here without a reconstruction first, and with a separate kind for pixels outside the lung.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from pneumo_ad.nets.output import Output
from pneumo_ad.nets.standardise import standardised_squares
from pneumo_ad.nets.unet import UNet, check_divisible


class KindUNet(nn.Module):
    """U-net, (B, 1, H, W) whole radiographs in [0, 1] -> `Output` with the probabilities of the three kinds per pixel.

    Every 2 x 2 pixels become four channels (Shi et al. 2016, CVPR), so that it works at half resolution, with the
    U-net of the lung segmenter.

    Args:
        width: Channels of the first level of its `UNet`.
        depth: Number of poolings.

    Raises:
        ConfigError: See `UNet`; in `forward`, a side that is not divisible by 2 ** (depth + 1).

    >>> import torch
    >>> KindUNet(width=4, depth=2)(torch.rand(2, 1, 64, 64)).kinds.shape
    torch.Size([2, 3, 64, 64])
    """

    def __init__(self, width: int = 16, depth: int = 4) -> None:
        super().__init__()
        self.depth = depth
        self.unet = UNet(width, depth, convs=2, norm="batch", channels=4, classes=3)

    def logits(self, x: Tensor) -> Tensor:
        """Compute logits at half resolution, (B, 1, H, W) -> (B, 3, H / 2, W / 2), a channel per kind."""
        check_divisible(x.shape[-2:], self.depth + 1)
        return self.unet(standardised_squares(x))

    def forward(self, x: Tensor) -> Output:
        """See the class; the reconstruction is `x`."""
        chance = self.logits(x).softmax(dim=1)
        return Output(x, kinds=F.interpolate(chance, x.shape[-2:], mode="bilinear", align_corners=False))
