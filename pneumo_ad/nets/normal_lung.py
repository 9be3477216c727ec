"""Mean normal lung as a reconstruction: grey by place in the lungs, and its spread among normal radiographs."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pneumo_ad.errors import ConfigError
from pneumo_ad.nets.lung_box import LungBox
from pneumo_ad.nets.output import Output

_SAMPLES = 4  # per cell and axis
_LEAST = 1e-3  # lower bound on a spread


class NormalLung(nn.Module):
    """Reconstruction of a radiograph with the grey of normal lung; (B, 1, H, W) in [0, 1] -> `Output` with a variance.

    The box around the lungs is divided into cells. A cell's grey, in standard deviations of the radiograph's own box,
    is replaced by the mean of normal radiographs in that cell; detail finer than a cell is kept. The log-variance is
    that of the cell among normal radiographs. Moments are accumulated (`observe`), without gradients.

    An autoencoder with a latent of length 0: unlike one that sees the patch, it cannot copy an opacity.

    Args:
        segmentation: (B, 1, H, W) in [0, 1] -> (B, 1, H, W) probability of lung; frozen.
        cells: Cells along each side of the box.

    Raises:
        ConfigError: `cells` below 1.
    """

    count: Tensor
    total: Tensor
    squares: Tensor

    def __init__(self, segmentation: nn.Module, cells: int = 16) -> None:
        super().__init__()
        if cells < 1:
            raise ConfigError(f"cells={cells} must be at least 1")
        self.segmentation = segmentation.requires_grad_(False).eval()
        self.cells = cells
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.register_buffer("total", torch.zeros(1, 1, cells, cells, dtype=torch.float64))
        self.register_buffer("squares", torch.zeros(1, 1, cells, cells, dtype=torch.float64))

    def train(self, mode: bool = True) -> NormalLung:
        """Set the mode; the segmentation stays in evaluation mode."""
        super().train(mode)
        self.segmentation.eval()
        return self

    def box(self, x: Tensor) -> LungBox:
        """Find the box around the lungs of (B, 1, H, W) radiographs in [0, 1]."""
        return LungBox.around(self.segmentation(x) > 0.5)

    def describe(self, x: Tensor) -> Tensor:
        """Compute the standardised grey of each cell, (B, 1, H, W) -> (B, 1, cells, cells)."""
        return self._cells(x, self.box(x))[0]

    def _cells(self, x: Tensor, box: LungBox) -> tuple[Tensor, Tensor]:
        """Standardised grey of each cell, and (B, 1, 1, 1) the standard deviation by which it was divided."""
        grey = F.avg_pool2d(box.cut(x, self.cells * _SAMPLES), _SAMPLES)
        spread = grey.std(dim=(2, 3), keepdim=True, correction=0).clamp_min(_LEAST)
        return (grey - grey.mean(dim=(2, 3), keepdim=True)) / spread, spread

    @torch.no_grad()
    def observe(self, x: Tensor, lung: Tensor) -> None:
        """Add normal radiographs to the moments.

        Args:
            x: (B, 1, H, W) normal radiographs in [0, 1].
            lung: (B, 1, H, W) lung fields, 0 or 1; radiographs without any are left out. The box is that of
                `segmentation`, as in `forward`.
        """
        grey = self.describe(x).double() * (kept := lung.flatten(1).any(dim=1)).double()[:, None, None, None]
        self.count += kept.sum()
        self.total += grey.sum(dim=0, keepdim=True)
        self.squares += grey.square().sum(dim=0, keepdim=True)

    def moments(self) -> tuple[Tensor, Tensor]:
        """Compute mean and variance of each cell, (1, 1, cells, cells) float32 each; NaN before any was observed."""
        mean = self.total / self.count
        return mean.float(), (self.squares / self.count - mean.square()).clamp_min(_LEAST**2).float()

    def forward(self, x: Tensor) -> Output:
        """See the class."""
        box = self.box(x)
        grey, spread = self._cells(x, box)
        mean, variance = self.moments()
        residual, variance = (
            box.put_back(part.expand(x.shape[0], -1, -1, -1), (x.shape[2], x.shape[3]))
            for part in ((grey - mean) * spread, variance * spread.square())
        )
        return Output((x - residual).clamp(0, 1), log_variance=variance.log())
