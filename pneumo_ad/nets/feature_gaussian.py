"""Gaussian model of the features of normal lung (after PaDiM, Defard et al. 2021, ICPR)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pneumo_ad.errors import ConfigError, DataError
from pneumo_ad.nets.output import Output


class FeatureGaussian(nn.Module):
    """Mahalanobis distance of features to normal lung; (B, 1, H, W) radiographs in [0, 1] -> `Output` with an anomaly.

    PaDiM fits one Gaussian per position of aligned photographs; lungs are not aligned, so by default one Gaussian is
    fitted to all positions inside the lung fields of normal radiographs. Positions outside the lung are then distant,
    as in the order of the paper's Table 1. Its moments are accumulated (`observe`), without gradients.

    Args:
        features: (B, 1, H, W) in [0, 1] -> list of (B, C, h, w) maps; frozen, with an attribute `channels`, their sum.
        cells: Side of the grid of cells on which features are compared.
        pooled: Whether all cells share one Gaussian; False: one per cell, as in PaDiM.
        shrinkage: Weight in [0, 1] of the diagonal of equal variance that keeps the covariance invertible (Ledoit and
            Wolf 2004, J. Multivariate Anal., with a fixed weight).

    Raises:
        ConfigError: Shrinkage outside (0, 1], or `cells` below 1.
    """

    least_lung = 0.9  # share of a cell inside the lung field for its features to count as lung
    count: Tensor
    total: Tensor
    products: Tensor

    def __init__(self, features: nn.Module, cells: int = 16, pooled: bool = True, shrinkage: float = 0.01) -> None:
        super().__init__()
        if not 0 < shrinkage <= 1 or cells < 1:
            raise ConfigError(f"shrinkage={shrinkage} must lie in (0, 1] and cells={cells} be at least 1")
        self.features = features.requires_grad_(False).eval()
        self.cells = cells
        self.pooled = pooled
        self.shrinkage = shrinkage
        groups, channels = 1 if pooled else cells**2, int(features.channels)  # type: ignore[arg-type]
        self._fitted: tuple[Tensor, Tensor] | None = None  # cached Gaussian of the current moments
        self.register_load_state_dict_post_hook(lambda module, keys: module.forget())
        self.register_buffer("count", torch.zeros(groups, dtype=torch.float64))
        self.register_buffer("total", torch.zeros(groups, channels, dtype=torch.float64))
        self.register_buffer("products", torch.zeros(groups, channels, channels, dtype=torch.float64))

    def train(self, mode: bool = True) -> FeatureGaussian:
        """Set the mode; the features stay in evaluation mode."""
        super().train(mode)
        self.features.eval()
        return self

    def forget(self) -> None:
        """Drop the cached Gaussian after a change of the moments."""
        self._fitted = None

    def describe(self, x: Tensor) -> Tensor:
        """Compute features per cell, (B, 1, H, W) -> (B, cells, cells, C)."""
        maps = [self._to_cells(part.float()) for part in self.features(x)]
        return torch.cat(maps, dim=1).permute(0, 2, 3, 1)

    def _to_cells(self, part: Tensor) -> Tensor:
        size = (self.cells, self.cells)
        if min(part.shape[-2:]) >= self.cells:
            return F.adaptive_avg_pool2d(part, size)
        return F.interpolate(part, size, mode="bilinear", align_corners=False)

    @torch.no_grad()
    def observe(self, x: Tensor, lung: Tensor) -> None:
        """Add the features of normal lung to the moments.

        Args:
            x: (B, 1, H, W) normal radiographs in [0, 1].
            lung: (B, 1, H, W) lung fields, 0 or 1.
        """
        self.add(self.describe(x), lung)

    def add(self, described: Tensor, lung: Tensor) -> None:
        """Add the features of cells inside lung fields to the moments.

        Args:
            described: (B, cells, cells, C) features.
            lung: (B, 1, h, w) lung fields, 0 or 1, of the same extent.
        """
        self.forget()
        described = described.flatten(1, 2).double()  # (B, cells ** 2, C)
        inside = (F.adaptive_avg_pool2d(lung.float(), (self.cells, self.cells)) >= self.least_lung).flatten(1).double()
        if self.pooled:
            described, inside = described.flatten(0, 1)[:, None], inside.reshape(-1, 1)
        weighted = described * inside[..., None]
        self.count += inside.sum(0)
        self.total += weighted.sum(0)
        self.products += torch.einsum("ngc,ngd->gcd", weighted, described)

    def moments(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return count (G,), sum (G, C) and sum of products (G, C, C) of the observed features."""
        return self.count, self.total, self.products

    def gaussian(self) -> tuple[Tensor, Tensor]:
        """Compute mean (G, C) and Cholesky factor (G, C, C) of the inverse covariance; sparse cells use those of all.

        Raises:
            DataError: No observed lung.
        """
        if not self.count.sum() > 1:
            raise DataError("no cell of lung was seen: train the net on normal images with lung fields (lungs=)")
        count, total, products = self.moments()
        seen = (count > total.shape[1])[:, None]
        count = torch.where(seen[:, 0], count, self.count.sum())
        total = torch.where(seen, total, self.total.sum(0))
        products = torch.where(seen[..., None], products, self.products.sum(0))
        mean = total / count[:, None]
        covariance = products / count[:, None, None] - mean[:, :, None] * mean[:, None, :]
        spread = covariance.diagonal(dim1=1, dim2=2).mean(1).clamp_min(1e-12)
        equal = torch.eye(mean.shape[1], dtype=mean.dtype, device=mean.device) * spread[:, None, None]
        shrunk = (1 - self.shrinkage) * covariance + self.shrinkage * equal
        return mean, torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(shrunk)))

    def fitted(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return the Gaussian of the current moments, see `gaussian`, computed once."""
        if self._fitted is None or self._fitted[0].device != device:
            self._fitted = self.gaussian()
        return self._fitted

    def forward(self, x: Tensor) -> Output:
        """See the class; the reconstruction is `x`. The distance is the root mean square over the whitened features."""
        distance = self.whiten(self.describe(x)).square().mean(-1).sqrt()
        distance = distance.reshape(-1, 1, self.cells, self.cells).float()
        return Output(x, anomaly=F.interpolate(distance, x.shape[-2:], mode="bilinear", align_corners=False))

    def whiten(self, described: Tensor) -> Tensor:
        """Express features in standard deviations of normal lung, (B, cells, cells, C) -> (B, cells ** 2, C)."""
        mean, factor = self.fitted(described.device)
        centred = described.flatten(1, 2).double() - mean
        return centred @ factor[0] if self.pooled else torch.einsum("bgc,gcd->bgd", centred, factor)
