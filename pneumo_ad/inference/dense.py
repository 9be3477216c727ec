"""Dense scoring: the net runs over whole radiographs, and window scores are box means of one residual.

Fully convolutional inference (Long et al. 2015, CVPR), as Sermanet et al. 2014 (ICLR) ran sliding windows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

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
    """Score every window of some radiographs by running the net over whole radiographs.

    The halo must cover the receptive field of the net: scores then equal those of `score_radiographs` with the same
    halo, to 1e-4. The net runs once per offset of the windows modulo `ReceptiveField.step` (its pooling factor), so
    once in all where the stride is a multiple of the step.

    Args:
        net: (B, 1, h, w) in [0, 1] -> `Output`, for any size; used in its current mode and on its device.
        scores: Scores to compute, by name.
        images: (N, H, W) uint8 grey levels, may be memory-mapped.
        rows: (R,) row numbers of the radiographs to score.
        grid: Grid of the windows.
        batch_size: Pixels per forward pass, in windows: larger radiographs are split into blocks, small ones are
            batched.
        map_of: Content of the anomaly maps; None makes no maps.
        precision: dtype of autocast; float32 switches it off.
        progress: Caption of the progress bar; None shows none.
        halo: Pixels of surroundings on every side of a window, mirrored at the border.

    Yields:
        `Scored` for a few radiographs at a time (`groups`), in the order of `rows`.

    Raises:
        ConfigError: See `check_halo` and `check_dense`.
    """
    check_halo(halo, grid.image_size)
    reach = check_dense(net, grid.patch, halo, grid.image_size)
    device = next(net.parameters(), torch.empty(0)).device
    at_most = batch_size * grid.patch**2
    passes = list(product(*(_passes(starts, grid.patch, halo, reach) for starts in (grid.tops, grid.lefts))))
    for group in groups(rows, grid, progress):
        window_scores = {name: np.empty((len(group), *grid.shape), dtype=np.float32) for name in scores}
        sums = {name: np.zeros((len(group), *grid.image_size)) for name in scores if map_of == "residual"}
        for down, across in passes:
            at_once = max(1, at_most // (down.length * across.length))
            boxes = Boxes(down.offsets(device), across.offsets(device), grid.patch, grid.patch)
            high, wide = down.pixels(grid.image_size[0]), across.pixels(grid.image_size[1])
            shown = (slice(down.first, down.last), slice(across.first, across.last))
            for first in range(0, len(group), at_once):
                members = slice(first, first + at_once)
                cut = np.asarray(images[group[members]])[:, high[:, None], wide]
                x = torch.from_numpy(cut)[:, None].to(device).float().div_(255)
                output, x = _blockwise(net, x, at_most, reach, precision).inner(halo), inner(x, halo)
                for name, score in scores.items():
                    terms = score.terms(x, output, boxes)
                    values = score.over_windows(terms, boxes)
                    window_scores[name][members, down.numbers[:, None], across.numbers] = values.cpu().numpy()
                    if map_of == "residual":
                        total = sum((term.total() for term in terms[1:]), terms[0].total())
                        sums[name][members, *shown] += total.cpu().numpy()
        windows = {name: values.reshape(len(values), -1) for name, values in window_scores.items()}
        yield Scored(group, windows, mean_maps(windows, sums, grid, map_of))


def check_dense(net: nn.Module, patch: int, halo: int, image_size: tuple[int, int]) -> ReceptiveField:
    """Check that a net gives the same scores over whole radiographs as window by window.

    Args:
        net: (B, 1, h, w) in [0, 1] -> `Output`; not changed.
        patch: Side of the windows in pixels.
        halo: Pixels of surroundings on every side of a window.
        image_size: (H, W) of the radiographs in pixels.

    Returns:
        Receptive field of the net.

    Raises:
        ConfigError: Net that cannot run over whole radiographs (`receptive_field`), or too small a halo; the message
            names settings that work.
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
    """Windows along one axis that begin at the same offset modulo the step: one run of the net.

    Attributes:
        numbers: (n,) number of each window along this axis.
        starts: (n,) first pixel of each window.
        patch: Side of the windows in pixels.
        halo: Pixels of surroundings on either side.
    """

    numbers: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    patch: int
    halo: int

    @property
    def first(self) -> int:
        """First pixel of the first window."""
        return int(self.starts[0])

    @property
    def last(self) -> int:
        """First pixel behind the last window."""
        return int(self.starts[-1]) + self.patch

    @property
    def length(self) -> int:
        """Number of pixels along this axis of the net's input, halo included."""
        return self.last - self.first + 2 * self.halo

    def offsets(self, device: torch.device) -> Tensor:
        """(n,) first pixels of the windows within the net's input without its halo."""
        return torch.from_numpy(self.starts - self.first).to(device)

    def pixels(self, side: int) -> npt.NDArray[np.int64]:
        """(length,) pixels of an image of this side that form the net's input, mirrored at the border."""
        return mirrored(self.first - self.halo + np.arange(self.length), side)


def _passes(starts: npt.NDArray[np.int64], patch: int, halo: int, reach: ReceptiveField) -> list[_Pass]:
    offset = starts % reach.step
    of_each = (np.flatnonzero(offset == value) for value in np.unique(offset))
    return [_Pass(numbers, starts[numbers], patch, halo) for numbers in of_each]


def _blockwise(net: nn.Module, x: Tensor, at_most: int, reach: ReceptiveField, precision: torch.dtype) -> Output:
    """Run the net over (B, 1, h, w) in blocks that overlap by its receptive field, in bounded memory; same output."""
    if x.numel() <= at_most:
        return forward(net, x, precision)
    margin = -(-reach.pixels // reach.step) * reach.step
    # At most half of a block's side is overlap, even where that exceeds the requested memory.
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
