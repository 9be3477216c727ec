"""Coarse noise (Kascenas et al. 2022, MIDL), which makes copying through skip connections a poor solution."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pneumo_ad.errors import ConfigError


class CoarseNoise:
    """Gaussian noise on a coarse grid, upsampled bilinearly and added at a random shift per batch.

    The size of its blobs is the size of the lesions that the net learns to remove. The authors add noise of 16 x 16
    cells to images of 128 pixels; here the cell is given in pixels, so that it does not change with the patch.

    Args:
        std: Standard deviation of the noise, in units of [0, 1].
        cell: Cell of the coarse grid in pixels.

    Raises:
        ConfigError: Number that is not positive.

    >>> noise = CoarseNoise(std=0.2, cell=8)
    >>> noise(torch.zeros(2, 1, 32, 32), torch.Generator().manual_seed(0)).shape
    torch.Size([2, 1, 32, 32])
    """

    def __init__(self, std: float = 0.2, cell: int = 8) -> None:
        if std <= 0 or cell < 1:
            raise ConfigError(f"std={std} must be positive and cell={cell} at least 1 pixel")
        self.std = std
        self.cell = cell

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Add the noise: (B, 1, p, p) in [0, 1] -> the same shape, not clipped."""
        height, width = x.shape[-2:]
        rows, columns = -(-height // self.cell) + 1, -(-width // self.cell) + 1
        coarse = torch.randn((len(x), 1, rows, columns), generator=generator, device=x.device) * self.std
        size = (rows * self.cell, columns * self.cell)
        fine = nn.functional.interpolate(coarse, size, mode="bilinear", align_corners=False)
        shift = torch.randint(self.cell, (2,), generator=generator, device=x.device).tolist()
        return x + fine[..., shift[0] : shift[0] + height, shift[1] : shift[1] + width].to(x.dtype)
