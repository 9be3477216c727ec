"""Sums over all windows of a picture at once, and values painted into them: box filters (Crow 1984, SIGGRAPH)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Boxes(NamedTuple):
    """Rectangles of one size, one at every crossing of `tops` and `lefts`; the cost does not depend on their size.

    Attributes:
        tops: (R,) int64 first rows, rising.
        lefts: (C,) int64 first columns, rising.
        height: Height of each rectangle in pixels.
        width: Width of each rectangle in pixels.
    """

    tops: Tensor
    lefts: Tensor
    height: int
    width: int

    @property
    def area(self) -> int:
        """Pixels in each."""
        return self.height * self.width

    def part(self, top: int, left: int, height: int, width: int) -> Boxes:
        """The same part of each.

        Args:
            top: First row, counted from the box's own.
            left: First column, likewise.
            height: In pixels.
            width: In pixels.
        """
        return Boxes(self.tops + top, self.lefts + left, height, width)

    def sums(self, pictures: Tensor) -> Tensor:
        """(B, h, w) -> (B, R, C) float64 sum within each.

        >>> Boxes(torch.tensor([0, 2]), torch.tensor([1]), 2, 2).sums(torch.ones(1, 4, 4)).tolist()
        [[[4.0], [4.0]]]
        """
        # Down the columns first: only the rows of sums that boxes need go on. float64 keeps differences exact.
        bands = _differences(pictures.cumsum(dim=1, dtype=torch.float64), self.tops, self.height, dim=1)
        return _differences(bands.cumsum(dim=2), self.lefts, self.width, dim=2)

    def paint(self, values: Tensor, size: tuple[int, int]) -> Tensor:
        """Give each pixel the sum of the values of the boxes that cover it, 0 where none does.

        Args:
            values: (B, R, C).
            size: h and w of the picture.

        Returns:
            (B, h, w) float64.

        >>> Boxes(torch.tensor([0]), torch.tensor([0, 1]), 1, 2).paint(torch.ones(1, 1, 2), (1, 4)).tolist()
        [[[1.0, 2.0, 1.0, 0.0]]]
        """
        values = values.double()
        across = values.new_zeros(*values.shape[:2], size[1] + 1)
        across[:, :, self.lefts] += values
        across[:, :, self.lefts + self.width] -= values
        across = across.cumsum(dim=2)[:, :, :-1]
        change = values.new_zeros(len(values), size[0] + 1, size[1])
        change[:, self.tops] += across
        change[:, self.tops + self.height] -= across
        return change.cumsum(dim=1)[:, :-1]


def _differences(sums: Tensor, starts: Tensor, length: int, dim: int) -> Tensor:
    """Of running sums along a dimension, those of `length` places from each start on."""
    found = sums.index_select(dim, starts + length - 1)
    behind = int(starts[0] == 0)  # starts rise: before the first place there is nothing to take away
    found.narrow(dim, behind, len(starts) - behind).sub_(sums.index_select(dim, starts[behind:] - 1))
    return found
