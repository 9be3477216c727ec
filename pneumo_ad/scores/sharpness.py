"""Sharpness of the patch itself: what a reconstruction loses first, whatever the patch shows."""

from itertools import product

from torch import Tensor
from torch.nn import functional as F

from pneumo_ad.nets.output import Output
from pneumo_ad.patches.box_sums import Boxes
from pneumo_ad.scores.sad import GREY_LEVELS
from pneumo_ad.scores.score import Score, Term


class Sharpness(Score):
    """Mean absolute Laplacian of the input in grey levels; needs no net, higher counts as more anomalous.

    The Laplacian is that of the four neighbours; a pixel at the patch's border stands in for its missing neighbour.

    >>> import torch
    >>> x = torch.zeros(1, 1, 4, 4)
    >>> x[..., 1, 1] = 1  # 4 there, 1 at each of four neighbours: 8 over 16 pixels
    >>> Sharpness().score(x, Output(x)).item()
    127.5
    """

    unit = "grey levels"
    orders_outside = False  # lung has more of it than what lies outside

    def residual_map(self, x: Tensor, output: Output) -> Tensor:
        """(B, 1, p, p) absolute Laplacian in grey levels."""
        wide = F.pad(x, (1, 1, 1, 1), mode="replicate")
        around = wide[..., :-2, 1:-1] + wide[..., 2:, 1:-1] + wide[..., 1:-1, :-2] + wide[..., 1:-1, 2:]
        return (around - 4 * x).abs() * GREY_LEVELS

    def terms(self, x: Tensor, output: Output, windows: Boxes) -> list[Term]:
        """Nine parts of a window: a pixel at its border lacks the neighbours beyond, whose difference is then 0.

        Args:
            x: See `Score.terms`.
            output: Not looked at.
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
    """Start and length of the parts of a side, and whether their pixels have a neighbour before and behind."""
    if side == 1:
        return [(0, 1, False, False)]
    inner = [(1, side - 2, True, True)] * (side > 2)
    return [(0, 1, False, True), *inner, (side - 1, 1, True, False)]
