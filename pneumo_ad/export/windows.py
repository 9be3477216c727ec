"""The windows of a `PatchGrid` inside a graph: cut and put back by indices and matrix products."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from pneumo_ad.patches import PatchGrid

_AT_ONCE = 256  # windows of a radiograph that go through the net together
_STEPS = 32  # but at most so many steps: a graph holds the net's operations once for each


class GridWindows(nn.Module):
    """See `PatchGrid`, whose `extract` and `stitch` these equal.

    Rows of windows are taken some at a time (`steps`), so that memory grows with the windows of a step and not with
    those of a radiograph: at most 256 or a thirty-second of them, or one row.

    Args:
        grid: The windows.
    """

    rows: Tensor
    columns: Tensor
    put_rows: Tensor
    put_columns: Tensor

    def __init__(self, grid: PatchGrid) -> None:
        super().__init__()
        self.grid = grid
        side = np.arange(grid.patch)
        rows, columns = (torch.from_numpy(starts[:, None] + side) for starts in (grid.tops, grid.lefts))
        height, width = grid.image_size
        self.register_buffer("rows", rows)  # (R, p) the pixel rows of each row of windows
        self.register_buffer("columns", columns)  # (C, p)
        self.register_buffer("put_rows", torch.eye(height)[rows])  # (R, p, H): 1 where that row of pixels goes
        self.register_buffer("put_columns", torch.eye(width)[columns])  # (C, p, W)
        at_once = max(1, _AT_ONCE // len(columns), -(-len(rows) // _STEPS))
        self.steps = [slice(first, first + at_once) for first in range(0, len(rows), at_once)]

    def cut(self, images: Tensor, step: slice) -> Tensor:
        """`images` (B, 1, H, W) -> (B r C, 1, p, p): the r C windows of a step of each image."""
        p = self.grid.patch
        bands = images[:, 0][:, self.rows[step]]  # (B, r, p, W)
        windows = bands[..., self.columns].permute(0, 1, 3, 2, 4)  # (B, r, C, p, p)
        return windows.reshape(-1, 1, p, p)

    def put(self, windows: Tensor, step: slice) -> Tensor:
        """(B r C, 1, p, p) -> (B, H, W): the windows of a step added up where they lie."""
        rows = self.rows[step].shape[0]
        columns, p = self.columns.shape
        laid = windows.reshape(-1, rows, columns, p, p).permute(0, 1, 3, 2, 4).reshape(-1, rows * p, columns * p)
        down = self.put_rows[step].flatten(0, 1)  # (r p, H)
        return down.T @ (laid @ self.put_columns.flatten(0, 1))
