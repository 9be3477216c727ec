"""Sum of absolute differences, the paper's score (§ 3.2), as a mean per pixel, as in its figures."""

from __future__ import annotations

from torch import Tensor

from pneumo_ad.errors import ConfigError
from pneumo_ad.nets.output import Output
from pneumo_ad.patches.box_sums import Boxes
from pneumo_ad.scores.score import Score, Term

GREY_LEVELS = 255.0


class SAD(Score):
    """Mean absolute difference of input and reconstruction per pixel, in grey levels 0-255.

    >>> import torch
    >>> x = torch.zeros(1, 1, 4, 4)
    >>> SAD().score(x, Output(x + 1 / 255)).item()
    1.0
    """

    unit = "grey levels per pixel"

    def residual_map(self, x: Tensor, output: Output) -> Tensor:
        """Compute the absolute difference in grey levels, (B, 1, p, p)."""
        return (x - output.reconstruction).abs() * GREY_LEVELS


class SADSum(SAD):
    """Sum of equation 1 of the paper, in grey levels per patch; not comparable between patch sizes."""

    unit = "grey levels per patch"

    def score(self, x: Tensor, output: Output) -> Tensor:
        """Sum the residual map of each patch, (B,)."""
        return self.residual_map(x, output).sum(dim=(1, 2, 3))

    def over_windows(self, terms: list[Term], windows: Boxes) -> Tensor:
        """Sum over each window, (B, R, C).

        Args:
            terms: See `Score.over_windows`.
            windows: See `Score.over_windows`.
        """
        return super().over_windows(terms, windows) * windows.area


class SADContrast(SAD):
    """SAD divided by the contrast of the patch (standard deviation), dimensionless.

    SAD depends mostly on texture, as smooth patches are easy to copy. The quotient is the lost share of the contrast
    that was to be reconstructed.

    Args:
        floor: Lower bound on the contrast in grey levels, so that flat patches are not divided by their noise.

    Raises:
        ConfigError: `floor` that is not positive.
    """

    unit = "share of the patch's contrast"

    def __init__(self, floor: float = 2.0) -> None:
        if floor <= 0:
            raise ConfigError(f"floor={floor} must be positive (grey levels)")
        self.floor = floor

    def residual_map(self, x: Tensor, output: Output) -> Tensor:
        """Compute the absolute difference over the contrast of its patch, (B, 1, p, p)."""
        contrast = x.std(dim=(1, 2, 3), keepdim=True, correction=0) * GREY_LEVELS
        return super().residual_map(x, output) / contrast.clamp_min(self.floor)

    def terms(self, x: Tensor, output: Output, windows: Boxes) -> list[Term]:
        """Return the absolute difference as one term, weighted by the inverse contrast of each window.

        Args:
            x: See `Score.terms`.
            output: See `Score.terms`.
            windows: See `Score.terms`.
        """
        contrast = deviation(x, windows) * GREY_LEVELS
        return [Term(super().residual_map(x, output)[:, 0], windows, 1 / contrast.clamp_min(self.floor))]


def deviation(x: Tensor, windows: Boxes) -> Tensor:
    """Compute the standard deviation within each window, (B, R, C) float64.

    Args:
        x: (B, 1, h, w) pictures.
        windows: Windows of each picture.
    """
    x = x[:, 0].double()
    mean = windows.sums(x) / windows.area
    return (windows.sums(x.square()) / windows.area - mean.square()).clamp_min(0).sqrt()
