"""Random exposure and sharpness, so that a net cannot use them as shortcuts."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def expose(x: Tensor, generator: torch.Generator) -> Tensor:
    """Change gamma, gain, offset, sharpness and noise of each radiograph at random.

    Args:
        x: (B, 1, H, W) radiographs in [0, 1].
        generator: Random generator on the device of `x`.

    Returns:
        Radiographs of the same shape and range.
    """

    def between(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand((len(x), 1, 1, 1), generator=generator, device=x.device)

    x = x.clamp(0, 1) ** between(-0.45, 0.45).exp()
    x = between(-0.05, 0.15) + between(0.7, 1.05) * x
    blurred = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    which = torch.rand((len(x), 1, 1, 1), generator=generator, device=x.device)
    # Towards or away from the 3 x 3 mean: blurred, sharpened or neither.
    change = (which < 0.4) * between(0, 1) - (which > 0.75) * between(0, 1.2)
    x = x + change * (blurred - x)
    noise = torch.randn(x.shape, generator=generator, device=x.device)
    return (x + between(0, 0.02) * noise).clamp(0, 1)
