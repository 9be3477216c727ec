"""Scoring window by window: window scores and anomaly maps of radiographs, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pneumo_ad.inference.anomaly_maps import MapOf, mean_maps
from pneumo_ad.inference.forward import forward
from pneumo_ad.inference.radiographs import Scored, groups
from pneumo_ad.nets.output import inner
from pneumo_ad.patches import PatchGrid, check_halo, gather
from pneumo_ad.scores import Score


@torch.inference_mode()
def score_radiographs(
    net: nn.Module,
    scores: Mapping[str, Score],
    images: npt.NDArray[np.uint8],
    rows: npt.NDArray[np.integer],
    grid: PatchGrid,
    batch_size: int = 64,
    map_of: MapOf | None = None,
    precision: torch.dtype = torch.float32,
    progress: str | None = None,
    halo: int = 0,
) -> Iterator[Scored]:
    """Score every window of some radiographs, batched across radiographs.

    Args:
        net: (B, 1, s, s) in [0, 1] -> `Output`, s = patch + 2 halo; used in its current mode and on its device. On the
            CPU convolutions take half the time if weights are `channels_last`, as the batches are.
        scores: Scores to compute, by name.
        images: (N, H, W) uint8 grey levels, may be memory-mapped.
        rows: (R,) row numbers of the radiographs to score.
        grid: Grid of the windows.
        batch_size: Windows per forward pass.
        map_of: Content of the anomaly maps; None makes no maps.
        precision: dtype of autocast; float32 switches it off.
        progress: Caption of the progress bar; None shows none.
        halo: Pixels of surroundings on every side of a window, mirrored at the border.

    Yields:
        `Scored` for a few radiographs at a time (`groups`), in the order of `rows`.

    Raises:
        ConfigError: See `check_halo`.
    """
    check_halo(halo, grid.image_size)
    device = next(net.parameters(), torch.empty(0)).device
    positions = grid.positions
    for group in groups(rows, grid, progress):
        window_scores = {name: np.empty((len(group), len(grid)), dtype=np.float32) for name in scores}
        sums = {
            name: torch.zeros(len(group), *grid.image_size, device=device) for name in scores if map_of == "residual"
        }
        for first in range(0, len(group) * len(grid), batch_size):
            number = np.arange(first, min(first + batch_size, len(group) * len(grid)))
            image, window = number // len(grid), number % len(grid)
            where = np.column_stack([np.asarray(group)[image], positions[window]])
            patches = torch.from_numpy(gather(images, where, grid.patch, halo)).to(device, non_blocking=True)
            wide = patches.float().div_(255)
            output, x = forward(net, wide, precision).inner(halo), inner(wide, halo)
            pixels = _pixels(image, positions[window], grid, device) if map_of == "residual" else None
            for name, score in scores.items():
                window_scores[name].ravel()[number] = score.score(x, output).cpu().numpy()
                if pixels is not None:
                    sums[name].view(-1).scatter_add_(0, pixels, score.residual_map(x, output).reshape(-1))
        added = {name: total.cpu().numpy() for name, total in sums.items()}
        yield Scored(group, window_scores, mean_maps(window_scores, added, grid, map_of))


def _pixels(
    image: npt.NDArray[np.int64], position: npt.NDArray[np.int64], grid: PatchGrid, device: torch.device
) -> Tensor:
    """Compute flat indices of the pixels of windows in (b, H, W) sums, (B p p), shared by all scores."""
    height, width = grid.image_size
    side = torch.arange(grid.patch, device=device)
    corner = torch.from_numpy((image * height + position[:, 0]) * width + position[:, 1]).to(device)
    return (corner[:, None, None] + side[:, None] * width + side).view(-1)
