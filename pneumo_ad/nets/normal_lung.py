"""Mean normal lung as a reconstruction: grey by place in the lungs, and its spread among normal radiographs."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pneumo_ad.errors import ConfigError
from pneumo_ad.nets.output import Output

_SAMPLES = 4  # per cell and axis
_TAIL = 0.01  # share of the lungs' area beyond each side of their box, so that specks do not move it
_MARGIN = 0.1  # added on each side, as a share of the box's side
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

    def boxes(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Find the box around the lungs; that of a radiograph without lungs is all of it.

        Args:
            x: (B, 1, H, W) radiographs in [0, 1].

        Returns:
            Centre and half of the sides, (B, 2) each, across before down, where the radiograph reaches from -1 to 1.
        """
        lung = (self.segmentation(x) > 0.5).float()
        ends = torch.stack([_ends(lung.sum(dim=(1, side))) for side in (2, 3)], dim=1)  # (B, axis, end)
        centre, half = ends.mean(dim=2), (ends[..., 1] - ends[..., 0]) / 2
        return centre, half * (1 + 2 * _MARGIN)

    def describe(self, x: Tensor) -> Tensor:
        """Compute the standardised grey of each cell, (B, 1, H, W) -> (B, 1, cells, cells)."""
        return self._cells(x, *self.boxes(x))[0]

    def _cells(self, x: Tensor, centre: Tensor, half: Tensor) -> tuple[Tensor, Tensor]:
        """Standardised grey of each cell, and (B, 1, 1, 1) the standard deviation by which it was divided."""
        fine = _centres(self.cells * _SAMPLES, x)
        across, down = (centre[:, axis, None] + half[:, axis, None] * fine for axis in (0, 1))
        grey = F.avg_pool2d(_sample(x, across, down), _SAMPLES)
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
        centre, half = self.boxes(x)
        grey, spread = self._cells(x, centre, half)
        mean, variance = self.moments()
        height, width = x.shape[-2:]
        across, down = (
            (_centres(side, x) - centre[:, axis, None]) / half[:, axis, None]
            for axis, side in ((0, width), (1, height))
        )
        residual, variance = (
            _sample(part.expand(x.shape[0], -1, -1, -1), across, down)
            for part in ((grey - mean) * spread, variance * spread.square())
        )
        return Output((x - residual).clamp(0, 1), log_variance=variance.log())


def _centres(number: int, like: Tensor) -> Tensor:
    """(number,) centres of equal parts of the range from -1 to 1."""
    return (torch.arange(number, device=like.device, dtype=torch.float32) + 0.5) * (2 / number) - 1


def _ends(amounts: Tensor) -> Tensor:
    """(B, n) lung pixels along an axis -> (B, 2) ends of all but the tails, in the range from -1 to 1."""
    share = amounts.cumsum(dim=1) / amounts.sum(dim=1, keepdim=True).clamp_min(1)
    number = amounts.shape[1]
    first, last = (share < _TAIL).sum(dim=1), (share < 1 - _TAIL).sum(dim=1) + 1
    empty = amounts.sum(dim=1) == 0
    ends = torch.stack([torch.where(empty, 0, first), torch.where(empty, number, last)], dim=1)
    return ends * (2 / number) - 1


def _sample(pictures: Tensor, across: Tensor, down: Tensor) -> Tensor:
    """Sample (B, 1, h, w) at (B, W) columns and (B, H) rows, in [-1, 1] -> (B, 1, H, W); the border goes on."""
    shape = (pictures.shape[0], down.shape[1], across.shape[1])
    at = torch.stack([across[:, None, :].expand(shape), down[:, :, None].expand(shape)], dim=3)
    return F.grid_sample(pictures.float(), at, mode="bilinear", padding_mode="border", align_corners=False)
