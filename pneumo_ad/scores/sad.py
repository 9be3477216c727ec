"""Sum of absolute differences, the paper's score (§ 3.2), as a mean per pixel, which is what its figures show."""

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
        """(B, 1, p, p) absolute difference in grey levels."""
        return (x - output.reconstruction).abs() * GREY_LEVELS


class SADSum(SAD):
    """The sum that the paper's equation 1 names, in grey levels per patch: patches of other sizes do not compare."""

    unit = "grey levels per patch"

    def score(self, x: Tensor, output: Output) -> Tensor:
        """(B,) sum of the residual map."""
        return self.residual_map(x, output).sum(dim=(1, 2, 3))

    def over_windows(self, terms: list[Term], windows: Boxes) -> Tensor:
        """(B, R, C) sums over the windows.

        Args:
            terms: See `Score.over_windows`.
            windows: See `Score.over_windows`.
        """
        return super().over_windows(terms, windows) * windows.area


class SADContrast(SAD):
    """SAD divided by the patch's own contrast (standard deviation), a pure number.

    SAD measures texture first: smooth patches are easy to copy. Dividing by contrast asks how much of what there was to
    reconstruct was lost.

    Args:
        floor: Least contrast in grey levels, so that flat patches do not divide by their noise.

    Raises:
        ConfigError: A floor that is not positive.
    """

    unit = "share of the patch's contrast"

    def __init__(self, floor: float = 2.0) -> None:
        if floor <= 0:
            raise ConfigError(f"floor={floor} must be positive (grey levels)")
        self.floor = floor

    def residual_map(self, x: Tensor, output: Output) -> Tensor:
        """(B, 1, p, p) absolute difference over the contrast of its patch."""
        contrast = x.std(dim=(1, 2, 3), keepdim=True, correction=0) * GREY_LEVELS
        return super().residual_map(x, output) / contrast.clamp_min(self.floor)

    def terms(self, x: Tensor, output: Output, windows: Boxes) -> list[Term]:
        """The absolute difference, for each window over its own contrast.

        Args:
            x: See `Score.terms`.
            output: See `Score.terms`.
            windows: See `Score.terms`.
        """
        contrast = deviation(x, windows) * GREY_LEVELS
        return [Term(super().residual_map(x, output)[:, 0], windows, 1 / contrast.clamp_min(self.floor))]


def deviation(x: Tensor, windows: Boxes) -> Tensor:
    """(B, 1, h, w) pictures -> (B, R, C) float64 standard deviation within each window.

    Args:
        x: (B, 1, h, w) pictures.
        windows: Windows of each picture.
    """
    x = x[:, 0].double()
    mean = windows.sums(x) / windows.area
    return (windows.sums(x.square()) / windows.area - mean.square()).clamp_min(0).sqrt()
