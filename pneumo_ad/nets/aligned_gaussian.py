"""Gaussians of the features of normal lung by place in the lungs, and how far a radiograph lies on the way to haze."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.transforms.functional import gaussian_blur

from pneumo_ad.errors import ConfigError, DataError
from pneumo_ad.nets.feature_gaussian import FeatureGaussian
from pneumo_ad.nets.lung_box import LungBox
from pneumo_ad.nets.output import Output
from pneumo_ad.nets.standardise import standardise

_SIDE = 256  # of the lungs' box, in pixels
_GREY, _SPREAD = 0.35, 0.12  # mean and standard deviation of its grey: 0 and 1 are 2.9 and 5.4 of these away


class AlignedGaussian(FeatureGaussian):
    """Gaussians of features in the lungs' own frame; (B, 1, H, W) radiographs in [0, 1] -> `Output` with an anomaly.

    The box around the lungs becomes a square of 256 pixels, its grey gets one mean and one spread, and a blur gives
    radiographs of up to about that size one resolution. Each of its cells has a Gaussian, of the features that normal
    radiographs have there and in the cells about it.

    An opacity is not any change, it brightens. So the anomaly is the distance from the mean *in the direction in which
    a thin haze over the lungs moves the features*, in standard deviations and with a sign: the matched filter, which of
    all linear scores has the most power against that change (Fisher's discriminant; Neyman and Pearson 1933 for two
    Gaussians of one covariance). The direction is measured on the normals themselves: the Gaussians see no opacity. The
    haze is laid over standardised grey; of a real haze that is even over all of the box little is left after that.

    Args:
        features: (B, 1, H, W) in [0, 1] -> list of (B, C, h, w) maps; frozen, with an attribute `channels`, their sum.
        segmentation: (B, 1, H, W) in [0, 1] -> (B, 1, H, W) probability of lung; frozen.
        cells: Cells along each side of the box.
        neighbours: Cells on every side of a cell whose features count as its own.
        shrinkage: See `FeatureGaussian`.
        blur: Standard deviation of the blur in pixels, of 256 along each side of the box; 0: none.
        haze: Brightness of the haze in standard deviations of the grey in the box. 0: the plain distance, as in
            `FeatureGaussian`.

    Raises:
        ConfigError: See `FeatureGaussian`; `neighbours`, `blur` or `haze` below 0.
    """

    least_lung = 0.5  # lower than there: a cell at the border has a Gaussian of its own
    shift: Tensor

    def __init__(
        self,
        features: nn.Module,
        segmentation: nn.Module,
        cells: int = 16,
        neighbours: int = 1,
        shrinkage: float = 0.05,
        blur: float = 2.0,
        haze: float = 0.5,
    ) -> None:
        super().__init__(features, cells, pooled=False, shrinkage=shrinkage)
        for name, value in (("neighbours", neighbours), ("blur", blur), ("haze", haze)):
            if value < 0:
                raise ConfigError(f"{name}={value} must be at least 0")
        self.segmentation = segmentation.requires_grad_(False).eval()
        self.neighbours, self.blur, self.haze = neighbours, blur, haze
        self.register_buffer("shift", torch.zeros_like(self.total))

    def train(self, mode: bool = True) -> AlignedGaussian:
        """Set the mode; features and segmentation stay in evaluation mode."""
        super().train(mode)
        self.segmentation.eval()
        return self

    def describe(self, x: Tensor) -> Tensor:
        """Compute features by cell of the lungs' box, (B, 1, H, W) -> (B, cells, cells, C)."""
        return self._of_grey(_standardised(x, self.box(x)))

    def box(self, x: Tensor) -> LungBox:
        """Find the box around the lungs of (B, 1, H, W) radiographs in [0, 1]."""
        return LungBox.around(self.segmentation(x) > 0.5)

    def _of_grey(self, grey: Tensor) -> Tensor:
        if self.blur:
            grey = gaussian_blur(grey, [2 * round(3 * self.blur) + 1] * 2, [self.blur] * 2)
        return super().describe(grey.clamp(0, 1))

    @torch.no_grad()
    def observe(self, x: Tensor, lung: Tensor) -> None:
        """Add normal radiographs to the moments; those without any lung field are left out.

        Args:
            x: (B, 1, H, W) normal radiographs in [0, 1].
            lung: (B, 1, H, W) lung fields, 0 or 1. The box is that of `segmentation`, as in `forward`.
        """
        has_lung = (lung > 0).flatten(1).any(dim=1)
        x, lung = x[has_lung], lung[has_lung]
        if not len(x):
            return
        box = self.box(x)
        grey, field = _standardised(x, box), box.cut(lung, _SIDE)
        described = self._of_grey(grey)
        self.add(described, field)
        if self.haze:
            hazy = self._of_grey(grey + self.haze * _SPREAD * (field > 0.5))
            self.shift += (hazy - described).double().sum(0).flatten(0, 1)

    def moments(self) -> tuple[Tensor, Tensor, Tensor]:
        """See `FeatureGaussian`; sums over a cell and its neighbours."""
        return (
            self._with_neighbours(self.count),
            self._with_neighbours(self.total),
            self._with_neighbours(self.products),
        )

    def _with_neighbours(self, sums: Tensor) -> Tensor:
        """(cells ** 2, ...) sums -> the same over each cell and its neighbours."""
        width = 2 * self.neighbours + 1
        grid = sums.reshape(1, self.cells, self.cells, -1).permute(0, 3, 1, 2)
        added = F.avg_pool2d(grid, width, stride=1, padding=self.neighbours, divisor_override=1)
        return added.permute(0, 2, 3, 1).reshape(sums.shape)

    def gaussian(self) -> tuple[Tensor, Tensor]:
        """See `FeatureGaussian`.

        Raises:
            DataError: No observed lung, or a direction was not measured.
        """
        if self.haze and self.count.any() and not self.shift.any():
            raise DataError(f"haze={self.haze}, but the net was fitted with haze=0: fit it again")
        return super().gaussian()

    def forward(self, x: Tensor) -> Output:
        """See the class; the reconstruction is `x`."""
        box = self.box(x)
        white = self.whiten(self._of_grey(_standardised(x, box)))
        if self.haze:
            direction = torch.einsum("gc,gcd->gd", self.shift, self.fitted(x.device)[1])
            anomaly = (white * F.normalize(direction, dim=1)).sum(-1)
        else:
            anomaly = white.square().mean(-1).sqrt()
        cells = anomaly.reshape(-1, 1, self.cells, self.cells)
        return Output(x, anomaly=box.put_back(cells, (x.shape[2], x.shape[3])))


def _standardised(x: Tensor, box: LungBox) -> Tensor:
    """(B, 1, H, W) radiographs -> (B, 1, 256, 256) grey of their box, of one mean and standard deviation."""
    return _GREY + _SPREAD * standardise(box.cut(x, _SIDE))
