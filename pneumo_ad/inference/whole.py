"""Radiographs through a net that sees all of one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pneumo_ad.errors import ConfigError
from pneumo_ad.inference.forward import forward
from pneumo_ad.inference.radiographs import Scored, groups
from pneumo_ad.labels import HEALTHY, OPACITY, OUTSIDE
from pneumo_ad.nets.output import Output
from pneumo_ad.patches import PatchGrid
from pneumo_ad.scores import Score

BY = "threshold=kinds"  # asks for likeliest kinds


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
    likeliest: bool = False,
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
        likeliest: Whether to tell the likeliest kind of each pixel, and of each window: the one with the highest mean
            chance over it.

    Yields:
        `Scored` as `score_radiographs` does, with the one score `score` and its map.

    Raises:
        ConfigError: `likeliest` of a net that does not tell kinds apart.
    """
    device = next(net.parameters(), torch.empty(0)).device
    for group in groups(rows, grid, progress):
        maps = np.empty((len(group), *grid.image_size), dtype=np.float32)
        kinds = np.empty((len(group), len(grid)), dtype=np.int8) if likeliest else None
        pixels = np.empty(maps.shape, dtype=np.int8) if likeliest else None
        own: list[Tensor] = []
        for first in range(0, len(group), batch_size):
            part = slice(first, first + batch_size)
            x = torch.from_numpy(np.asarray(images[group[part]])[:, None]).to(device).float().div_(255)
            output = forward(net, x, precision)
            maps[part] = score.residual_map(x, output)[:, 0].cpu().numpy()
            own += [] if output.radiograph is None else [output.radiograph.float().cpu()]
            if kinds is not None and pixels is not None:
                kinds[part] = likeliest_kinds(output, grid).numpy()
                pixels[part] = output.needed("kinds", by=BY)[:, [HEALTHY, OPACITY, OUTSIDE]].argmax(dim=1).cpu().numpy()
        scores = grid.window_means(torch.from_numpy(maps)).numpy()
        maps[:, ~grid.covered] = np.nan  # as on every other way
        of_radiographs = torch.cat(own).numpy() if own else None
        yield Scored(group, {"score": scores}, {"score": maps}, kinds, pixels, of_radiographs)


def likeliest_kinds(output: Output, grid: PatchGrid) -> Tensor:
    """Kind of each window with the highest mean chance over it.

    Args:
        output: Output of the net for whole radiographs.
        grid: The windows.

    Returns:
        (B, N) int64 of `HEALTHY`, `OPACITY` and `OUTSIDE`, on the CPU.

    Raises:
        ConfigError: The net does not tell kinds apart.
    """
    chances = output.needed("kinds", by=BY).cpu()
    of_windows = [grid.window_means(chances[:, kind]) for kind in (HEALTHY, OPACITY, OUTSIDE)]
    return torch.stack(of_windows).argmax(dim=0)


@torch.no_grad()  # no more: a net may keep what it computes, and be trained
def check_tells_kinds(net: nn.Module, view: str, image_size: Sequence[int]) -> None:
    """See that a net tells the kinds apart, before anything is decoded.

    Args:
        net: Net to check, in evaluation mode.
        view: Input of the net: `patch`, or `image` for whole radiographs.
        image_size: Height and width of radiographs.

    Raises:
        ConfigError: It does not; names one that does.
    """
    told = None
    if view == "image":
        x = torch.zeros(1, 1, *image_size, device=next(net.parameters(), torch.empty(0)).device)
        with suppress(ConfigError):  # of a net that has seen nothing yet, and cannot judge
            told = net(x).kinds
    if told is None:
        raise ConfigError(
            f"{BY} needs a net that tells kinds apart in whole images, as net=kind_unet with view=image does; "
            "this one does not"
        )
