"""Sums over all windows of a picture at once, and values painted into them.

Whether a window covers a pixel is a matter of its row and of its column alone, so that either is a small matrix product
along each side: on batches of radiographs faster than integral images (Crow 1984, SIGGRAPH), and a graph can hold it.
"""

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
        """(B, h, w) floating point -> (B, R, C) sum within each, of the same type.

        >>> Boxes(torch.tensor([0, 2]), torch.tensor([1]), 2, 2).sums(torch.ones(1, 4, 4)).tolist()
        [[[4.0], [4.0]]]
        """
        down, across = self._covering((pictures.shape[1], pictures.shape[2]), pictures)
        return down @ pictures @ across.T

    def paint(self, values: Tensor, size: tuple[int, int]) -> Tensor:
        """Give each pixel the sum of the values of the boxes that cover it, exactly 0 where none does.

        Args:
            values: (B, R, C) floating point.
            size: h and w of the picture.

        Returns:
            (B, h, w) of the same type.

        >>> Boxes(torch.tensor([0]), torch.tensor([0, 1]), 1, 2).paint(torch.ones(1, 1, 2), (1, 4)).tolist()
        [[[1.0, 2.0, 1.0, 0.0]]]
        """
        down, across = self._covering(size, values)
        return down.T @ values @ across

    def _covering(self, size: tuple[int, int], like: Tensor) -> tuple[Tensor, Tensor]:
        """(R, h), (C, w) of 0 and 1: which rows and which columns of pixels each covers, of another tensor's type."""
        sides = zip((self.tops, self.lefts), (self.height, self.width), size, strict=True)
        below = [(torch.arange(whole, device=starts.device) - starts[:, None], side) for starts, side, whole in sides]
        down, across = (((place >= 0) & (place < side)).to(like) for place, side in below)
        return down, across
