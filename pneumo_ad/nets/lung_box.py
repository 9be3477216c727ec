"""Box around the lungs, and what is cut to it and put back."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

_TAIL = 0.01  # share of the lungs' area beyond each side of their box, so that specks do not move it
_MARGIN = 0.1  # added on each side, as a share of the box's side


class LungBox(NamedTuple):
    """Boxes around the lungs of radiographs, in which places of different patients correspond.

    Attributes:
        centre: (B, 2) centres, across before down, where the radiograph reaches from -1 to 1.
        half: (B, 2) halves of the sides, in the same unit.

    >>> lung = torch.zeros(1, 1, 20, 20)
    >>> lung[..., 5:15, 2:12] = 1
    >>> [[round(part, 2) for part in each[0].tolist()] for each in LungBox.around(lung)]
    [[-0.3, 0.0], [0.6, 0.6]]
    """

    centre: Tensor
    half: Tensor

    @classmethod
    def around(cls, lung: Tensor) -> LungBox:
        """Find the boxes, a tenth of their side wider at each end; that of a radiograph without lungs is all of it.

        Args:
            lung: (B, 1, H, W) lung fields, 0 or 1.
        """
        ends = torch.stack([_ends(lung.float().sum(dim=(1, side))) for side in (2, 3)], dim=1)  # (B, axis, end)
        return cls(ends.mean(dim=2), (ends[..., 1] - ends[..., 0]) / 2 * (1 + 2 * _MARGIN))

    def cut(self, pictures: Tensor, side: int) -> Tensor:
        """Sample what lies in the box, bilinearly; beyond the radiograph its border goes on.

        Where the box has more pixels than the result, some are passed over.

        Args:
            pictures: (B, C, H, W) radiographs or masks.
            side: Pixels along each side of the result.

        Returns:
            (B, C, side, side) pictures.
        """
        fine = _centres(side, pictures)
        across, down = (self.centre[:, axis, None] + self.half[:, axis, None] * fine for axis in (0, 1))
        return _sample(pictures, across, down)

    def put_back(self, maps: Tensor, size: tuple[int, int]) -> Tensor:
        """Sample maps of the box at the pixels of the radiograph; outside the box its border goes on.

        Args:
            maps: (B, C, h, w) maps that reach from one end of the box to the other.
            size: Height H and width W of the radiograph.

        Returns:
            (B, C, H, W) maps.
        """
        across, down = (
            (_centres(side, maps) - self.centre[:, axis, None]) / self.half[:, axis, None]
            for axis, side in ((0, size[1]), (1, size[0]))
        )
        return _sample(maps, across, down)


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
    """Sample (B, C, h, w) at (B, W) columns and (B, H) rows, in [-1, 1] -> (B, C, H, W); the border goes on."""
    shape = (pictures.shape[0], down.shape[1], across.shape[1])
    at = torch.stack([across[:, None, :].expand(shape), down[:, :, None].expand(shape)], dim=3)
    return F.grid_sample(pictures.float(), at, mode="bilinear", padding_mode="border", align_corners=False)
