"""Reconstruction of a whole radiograph window by window."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from pneumo_ad.inference import forward
from pneumo_ad.inference.scorer import Scoring
from pneumo_ad.nets.output import inner
from pneumo_ad.patches import PatchGrid, gather
from pneumo_ad.scores.sad import GREY_LEVELS


@torch.inference_mode()
def reconstructed(
    scoring: Scoring, grid: PatchGrid, picture: npt.NDArray[np.uint8]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Reconstruct a radiograph from its windows; overlapping windows are averaged.

    Args:
        scoring: Scoring with a net that reconstructs patches.
        grid: Grid of the windows.
        picture: (H, W) uint8 grey levels.

    Returns:
        (H, W) uint8 reconstruction, 0 where no window lies; and (H, W) float32 absolute difference from the radiograph
        in grey levels, NaN where no window lies.
    """
    device = next(scoring.net.parameters(), torch.empty(0)).device
    covered = grid.covered
    if grid.stride < grid.patch // 2:  # windows that overlap by half suffice for a picture
        grid = replace(grid, stride=grid.patch // 2, cover="full")
    where = np.insert(grid.positions, 0, 0, axis=1)
    patches = torch.from_numpy(gather(picture[None], where, grid.patch, scoring.halo))
    parts = []
    for batch in patches.split(scoring.batch_size):
        output = forward(scoring.net, batch.to(device).float() / GREY_LEVELS, scoring.precision)
        parts.append(inner(output.reconstruction, scoring.halo).cpu())
    whole = np.where(covered, grid.stitch(torch.cat(parts)[None])[0, 0].numpy() * GREY_LEVELS, np.nan)
    return np.nan_to_num(whole).round().clip(0, 255).astype(np.uint8), np.abs(whole - picture).astype(np.float32)
