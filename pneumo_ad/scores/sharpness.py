"""Sharpness of the input patch, a baseline score: reconstructions lose fine detail first."""

from itertools import product

from torch import Tensor
from torch.nn import functional as F

from pneumo_ad.nets.output import Output
from pneumo_ad.patches.box_sums import Boxes
from pneumo_ad.scores.sad import GREY_LEVELS
from pneumo_ad.scores.score import Score, Term


class Sharpness(Score):
    """Mean absolute Laplacian of the input in grey levels, without a net; higher is more anomalous.

    The Laplacian has four neighbours; a missing neighbour of a border pixel takes the value of that pixel.

    >>> import torch
    >>> x = torch.zeros(1, 1, 4, 4)
    >>> x[..., 1, 1] = 1  # 4 there, 1 at each of four neighbours: 8 over 16 pixels
    >>> Sharpness().score(x, Output(x)).item()
    127.5
    """

    unit = "grey levels"
    orders_outside = False  # lung is sharper than regions outside

    def residual_map(self, x: Tensor, output: Output) -> Tensor:
        """Compute the absolute Laplacian in grey levels, (B, 1, p, p)."""
        wide = F.pad(x, (1, 1, 1, 1), mode="replicate")
        around = wide[..., :-2, 1:-1] + wide[..., 2:, 1:-1] + wide[..., 1:-1, :-2] + wide[..., 1:-1, 2:]
        return (around - 4 * x).abs() * GREY_LEVELS

    def terms(self, x: Tensor, output: Output, windows: Boxes) -> list[Term]:
        """Return a term for each of nine parts of a window; differences to missing neighbours of border pixels are 0.

        Args:
            x: See `Score.terms`.
            output: Not used.
            windows: See `Score.terms`.
        """
        wide = F.pad(x, (1, 1, 1, 1))[:, 0]
        middle = wide[:, 1:-1, 1:-1]
        up, down = wide[:, :-2, 1:-1] - middle, wide[:, 2:, 1:-1] - middle
        left, right = wide[:, 1:-1, :-2] - middle, wide[:, 1:-1, 2:] - middle
        return [
            Term(
                (above * up + below * down + before * left + after * right).abs() * GREY_LEVELS,
                windows.part(row, column, height, width),
            )
            for (row, height, above, below), (column, width, before, after) in product(
                _first_inner_last(windows.height), _first_inner_last(windows.width)
            )
        ]


def _first_inner_last(side: int) -> list[tuple[int, int, bool, bool]]:
    """Return start and length of the parts of a side, and whether their pixels have a neighbour before and after."""
    if side == 1:
        return [(0, 1, False, False)]
    inner = [(1, side - 2, True, True)] * (side > 2)
    return [(0, 1, False, True), *inner, (side - 1, 1, True, False)]
