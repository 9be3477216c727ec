"""Every window of every radiograph through a net: window scores and anomaly maps, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

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
        net: (B, 1, p, p) in [0, 1] -> `Output`, p + 2 halo wide; used as it is (mode, device). On the CPU convolutions
            of weights that are `channels_last`, as the batches are, take half the time.
        scores: Scores to take, by name.
        images: (N, H, W) uint8, may be memory-mapped.
        rows: (R,) rows to score.
        grid: The windows.
        batch_size: Windows per forward pass.
        map_of: Also stitch anomaly maps, of this; None skips the work.
        precision: dtype of autocast; float32 switches it off.
        progress: Caption of a progress bar; None shows none.
        halo: Pixels of surroundings that the net is shown on every side, mirrored at the border.

    Yields:
        `Scored` for a few radiographs at a time (`groups`), in the order of `rows`.

    Raises:
        ConfigError: See `check_halo`.
    """
    check_halo(halo, grid.image_size)
    device = next(net.parameters(), torch.empty(0)).device
    positions = grid.positions
    for group in tqdm(groups(rows, grid), desc=progress, unit="group", disable=progress is None, leave=False):
        found = {name: np.empty((len(group), len(grid)), dtype=np.float32) for name in scores}
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
                found[name].ravel()[number] = score.score(x, output).cpu().numpy()
                if pixels is not None:
                    sums[name].view(-1).scatter_add_(0, pixels, score.residual_map(x, output).reshape(-1))
        added = {name: total.cpu().numpy() for name, total in sums.items()}
        yield Scored(group, found, mean_maps(found, added, grid, map_of))


def _pixels(
    image: npt.NDArray[np.int64], position: npt.NDArray[np.int64], grid: PatchGrid, device: torch.device
) -> Tensor:
    """(B p p) where in (b, H, W) totals the pixels of windows lie, for all scores alike."""
    height, width = grid.image_size
    side = torch.arange(grid.patch, device=device)
    corner = torch.from_numpy((image * height + position[:, 0]) * width + position[:, 1]).to(device)
    return (corner[:, None, None] + side[:, None] * width + side).view(-1)
