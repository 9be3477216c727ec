"""Radiographs through a net that sees all of one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from tqdm.auto import tqdm

from pneumo_ad.inference.forward import forward
from pneumo_ad.inference.radiographs import Scored, groups
from pneumo_ad.patches import PatchGrid
from pneumo_ad.scores import Score


@torch.inference_mode()
def score_whole_radiographs(
    net: nn.Module,
    score: Score,
    images: npt.NDArray[np.uint8],
    rows: npt.NDArray[np.integer],
    grid: PatchGrid,
    batch_size: int = 8,
    precision: torch.dtype = torch.float32,
    progress: str | None = None,
) -> Iterator[Scored]:
    """Score radiographs with a net that sees all of one: a window's score is the mean of the map over it.

    Args:
        net: (B, 1, H, W) in [0, 1] -> `Output`; used as it is (mode, device).
        score: Its `residual_map` is the anomaly map.
        images: (N, H, W) uint8, may be memory-mapped.
        rows: (R,) rows to score.
        grid: The windows.
        batch_size: Radiographs per forward pass.
        precision: dtype of autocast; float32 switches it off.
        progress: Caption of a progress bar; None shows none.

    Yields:
        `Scored` as `score_radiographs` does, with the one score `score` and its map.
    """
    device = next(net.parameters(), torch.empty(0)).device
    for group in tqdm(groups(rows, grid), desc=progress, unit="group", disable=progress is None, leave=False):
        maps = np.empty((len(group), *grid.image_size), dtype=np.float32)
        for first in range(0, len(group), batch_size):
            part = slice(first, first + batch_size)
            x = torch.from_numpy(np.asarray(images[group[part]])[:, None]).to(device).float().div_(255)
            maps[part] = score.residual_map(x, forward(net, x, precision))[:, 0].cpu().numpy()
        scores = grid.window_means(maps)
        maps[:, ~grid.covered] = np.nan  # as on every other way
        yield Scored(group, {"score": scores}, {"score": maps})
