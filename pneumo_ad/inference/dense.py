"""A net run over whole radiographs instead of window by window: window scores are box means of one residual.

Fully convolutional inference (Long et al. 2015, CVPR), as Sermanet et al. 2014 (ICLR) ran sliding windows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from pneumo_ad.errors import ConfigError
from pneumo_ad.inference.anomaly_maps import MapOf, mean_maps
from pneumo_ad.inference.forward import forward
from pneumo_ad.inference.radiographs import Scored, groups
from pneumo_ad.inference.receptive_field import ReceptiveField, receptive_field
from pneumo_ad.nets.output import Output, inner
from pneumo_ad.patches import PatchGrid, check_halo, mirrored
from pneumo_ad.patches.box_sums import Boxes
from pneumo_ad.scores import Score


@torch.inference_mode()
def score_densely(
    net: nn.Module,
    scores: Mapping[str, Score],
    images: npt.NDArray[np.uint8],
    rows: npt.NDArray[np.integer],
    grid: PatchGrid,
    batch_size: int = 256,
    map_of: MapOf | None = None,
    precision: torch.dtype = torch.float32,
    progress: str | None = None,
    halo: int = 0,
) -> Iterator[Scored]:
    """Score every window of some radiographs by running the net over all of each.

    The halo must be as wide as the net sees: scores are then those that `score_radiographs` gives with the same halo,
    to 1e-4. The net is run once for each place that windows begin at within the windows of its poolings, once where
    the stride is a multiple of `ReceptiveField.step`.

    Args:
        net: (B, 1, h, w) in [0, 1] -> `Output`, of any size; used as it is (mode, device).
        scores: Scores to take, by name.
        images: (N, H, W) uint8, may be memory-mapped.
        rows: (R,) rows to score.
        grid: The windows.
        batch_size: Pixels per forward pass, in windows: larger radiographs go through in blocks, several small ones at
            once.
        map_of: Also make anomaly maps, of this; None skips the work.
        precision: dtype of autocast; float32 switches it off.
        progress: Caption of a progress bar; None shows none.
        halo: Pixels of surroundings that windows have on every side; mirrored at the border.

    Yields:
        `Scored` for a few radiographs at a time (`groups`), in the order of `rows`.

    Raises:
        ConfigError: See `check_halo` and `check_dense`.
    """
    check_halo(halo, grid.image_size)
    reach = check_dense(net, grid.patch, halo, grid.image_size)
    device = next(net.parameters(), torch.empty(0)).device
    at_most = batch_size * grid.patch**2
    passes = [
        (down, across)
        for down in _passes(grid.tops, grid.patch, halo, reach)
        for across in _passes(grid.lefts, grid.patch, halo, reach)
    ]
    for group in tqdm(groups(rows, grid), desc=progress, unit="group", disable=progress is None, leave=False):
        found = {name: np.empty((len(group), *grid.shape), dtype=np.float32) for name in scores}
        sums = {name: np.zeros((len(group), *grid.image_size)) for name in scores if map_of == "residual"}
        for down, across in passes:
            at_once = max(1, at_most // (down.length * across.length))
            boxes = Boxes(down.offsets(device), across.offsets(device), grid.patch, grid.patch)
            high, wide = down.pixels(grid.image_size[0]), across.pixels(grid.image_size[1])
            shown = (slice(down.first, down.last), slice(across.first, across.last))
            for first in range(0, len(group), at_once):
                part = slice(first, first + at_once)
                cut = np.asarray(images[group[part]])[:, high[:, None], wide]
                x = torch.from_numpy(cut)[:, None].to(device).float().div_(255)
                output, x = _blockwise(net, x, at_most, reach, precision).inner(halo), inner(x, halo)
                for name, score in scores.items():
                    terms = score.terms(x, output, boxes)
                    values = score.over_windows(terms, boxes)
                    found[name][part, down.numbers[:, None], across.numbers] = values.cpu().numpy()
                    if map_of == "residual":
                        total = sum((term.total() for term in terms[1:]), terms[0].total())
                        sums[name][part, *shown] += total.cpu().numpy()
        windows = {name: values.reshape(len(values), -1) for name, values in found.items()}
        yield Scored(group, windows, mean_maps(windows, sums, grid, map_of))


def check_dense(net: nn.Module, patch: int, halo: int, image_size: tuple[int, int]) -> ReceptiveField:
    """See that a net run over whole radiographs scores what it scores window by window.

    Args:
        net: (B, 1, h, w) in [0, 1] -> `Output`; not changed.
        patch: Side of the windows in pixels.
        halo: Pixels of surroundings that windows have on every side.
        image_size: (H, W) of the radiographs in pixels.

    Returns:
        The net's reach.

    Raises:
        ConfigError: The net cannot run over whole radiographs (`receptive_field`), or the halo is too small; names
            those that work.
    """
    reach = receptive_field(net, patch + 2 * halo)
    if halo < reach.pixels:
        needed = reach.halo(patch)
        exact = f"halo={needed}, with which both are the same, or " if needed < min(image_size) else ""
        raise ConfigError(
            f"scoring=dense with halo={halo} does not score what windows do: {type(net).__name__} sees "
            f"{reach.pixels} pixels around a patch; what works: {exact}scoring=windows"
        )
    return reach


class _Pass(NamedTuple):
    """Along one side: windows that begin at the same place within the windows of the poolings.

    Attributes:
        numbers: (n,) number of each window, among all along this side.
        starts: (n,) first pixel of each window.
        patch: Side of the windows in pixels.
        halo: Pixels of surroundings on either side.
        length: Number of pixels that the net is run over, halo included.
    """

    numbers: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    patch: int
    halo: int
    length: int

    @property
    def first(self) -> int:
        """First pixel of any of them."""
        return int(self.starts[0])

    @property
    def last(self) -> int:
        """First pixel behind all of them."""
        return int(self.starts[-1]) + self.patch

    def offsets(self, device: torch.device) -> Tensor:
        """(n,) where they begin within what the net is run over, less the halo."""
        return torch.from_numpy(self.starts - self.first).to(device)

    def pixels(self, side: int) -> npt.NDArray[np.int64]:
        """(length,) the image's pixels that the net is run over, of an image of this side."""
        return mirrored(self.first - self.halo + np.arange(self.length), side)


def _passes(starts: npt.NDArray[np.int64], patch: int, halo: int, reach: ReceptiveField) -> list[_Pass]:
    place = starts % reach.step
    found = []
    for one in np.unique(place):
        numbers = np.flatnonzero(place == one)
        length = int(starts[numbers[-1]] - starts[numbers[0]]) + patch + 2 * halo
        found.append(_Pass(numbers, starts[numbers], patch, halo, length))
    return found


def _blockwise(net: nn.Module, x: Tensor, at_most: int, reach: ReceptiveField, precision: torch.dtype) -> Output:
    """The net over (B, 1, h, w), in blocks that overlap as far as it sees: the same as at once, in bounded memory."""
    if x.numel() <= at_most:
        return forward(net, x, precision)
    margin = -(-reach.pixels // reach.step) * reach.step
    # Of a block at most half is overlap, whatever the memory that was asked for.
    side = max(int(at_most**0.5) - 2 * margin, 2 * margin, 1)
    side = -(-side // reach.step) * reach.step
    height, width = x.shape[-2:]
    whole: Output | None = None
    for top in range(0, height, side):
        for left in range(0, width, side):
            above, before = max(0, top - margin), max(0, left - margin)
            block = forward(net, x[..., above : top + side + margin, before : left + side + margin], precision)
            whole = whole or block.apply(lambda picture: picture.new_empty(*picture.shape[:2], height, width))
            for into, part in zip(whole, block, strict=True):
                if into is not None and part is not None:
                    kept = part[..., top - above : top - above + side, left - before : left - before + side]
                    into[..., top : top + side, left : left + side] = kept
    assert whole is not None
    return whole
