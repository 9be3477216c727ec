"""Positions of patches in an image: one geometry for data, scoring, truth and maps.

Everything is a pure function of (image size, patch size, stride, cover). Windows are numbered row by row from the top
left corner; heights come before widths.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pneumo_ad.errors import ConfigError
from pneumo_ad.patches.box_sums import Boxes

Cover = Literal["inside", "full"]

LONGEST = 2**14  # pixels of a side: radiographs have some thousands


def starts(length: int, patch: int, stride: int, cover: Cover = "inside") -> npt.NDArray[np.int64]:
    """Offsets of the windows along one side.

    Args:
        length: Side of the image in pixels.
        patch: Side of a patch in pixels.
        stride: Pixels from one window to the next.
        cover: `inside` keeps to the stride and may leave a border uncovered; `full` adds a window flush to the end.

    Raises:
        ConfigError: A stride below 1 or longer than the side, a patch that does not fit, a side above `LONGEST`, or an
            unknown `cover`.

    >>> starts(256, 32, 20).tolist()[-1], len(starts(256, 32, 20))
    (220, 12)
    >>> starts(10, 4, 4), starts(10, 4, 4, cover="full")
    (array([0, 4]), array([0, 4, 6]))
    """
    if cover not in ("inside", "full"):
        raise ConfigError(f"cover={cover!r} is not known; expected 'inside' or 'full'")
    if length > LONGEST:
        raise ConfigError(f"a side of {length} pixels; the largest that works is {LONGEST}")
    if not 1 <= patch <= length:
        raise ConfigError(
            f"a patch of {patch} pixels does not fit a side of {length} pixels; the largest that works is {length}"
        )
    if not 1 <= stride <= length:
        raise ConfigError(f"stride={stride} must lie between 1 and the image side, {length} pixels")
    offsets = np.arange(0, length - patch + 1, stride, dtype=np.int64)
    if cover == "full" and offsets[-1] + patch < length:
        offsets = np.append(offsets, length - patch)
    return offsets


@dataclass(frozen=True)
class PatchGrid:
    """Every window of an image: a value, without hidden state between cutting and stitching.

    Args:
        image_size: Height and width of the image in pixels.
        patch: Side of a patch in pixels.
        stride: Pixels from one window to the next.
        cover: See `starts`.

    Raises:
        ConfigError: As `starts`.

    >>> grid = PatchGrid((256, 256), patch=32, stride=20)
    >>> grid.shape, len(grid), grid.uncovered
    ((12, 12), 144, 2032)
    """

    image_size: tuple[int, int]
    patch: int
    stride: int
    cover: Cover = "inside"

    def __post_init__(self) -> None:
        object.__setattr__(self, "image_size", tuple(self.image_size))
        assert len(self) > 0  # `starts` refuses whatever would leave no window

    @cached_property
    def tops(self) -> npt.NDArray[np.int64]:
        """(rows,) first pixel row of each row of windows."""
        return starts(self.image_size[0], self.patch, self.stride, self.cover)

    @cached_property
    def lefts(self) -> npt.NDArray[np.int64]:
        """(columns,) first pixel column of each column of windows."""
        return starts(self.image_size[1], self.patch, self.stride, self.cover)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of windows."""
        return len(self.tops), len(self.lefts)

    def __len__(self) -> int:
        return len(self.tops) * len(self.lefts)

    @property
    def positions(self) -> npt.NDArray[np.int64]:
        """(N, 2) top and left of every window."""
        tops, lefts = np.meshgrid(self.tops, self.lefts, indexing="ij")
        return np.stack([tops.ravel(), lefts.ravel()], axis=1)

    @property
    def boxes(self) -> Boxes:
        """The windows, for sums and painting."""
        return Boxes(torch.from_numpy(self.tops), torch.from_numpy(self.lefts), self.patch, self.patch)

    def thinned(self, most: int | None) -> PatchGrid:
        """Every k-th window each way, so that at most so many are left: overlapping windows repeat each other.

        Args:
            most: Windows to leave; None leaves all.

        Returns:
            A grid of a multiple of this stride; each of its windows is one of this grid.

        Raises:
            ConfigError: Fewer than the longest stride leaves.

        >>> grid = PatchGrid((256, 256), patch=32, stride=1)
        >>> grid.thinned(4096).stride, len(grid.thinned(4096)), grid.thinned(None) == grid
        (4, 3249, True)
        """
        thinned, longest = self, min(self.image_size) // self.stride
        for every in range(1, longest + 1):
            thinned = PatchGrid(self.image_size, self.patch, every * self.stride, self.cover)
            if most is None or len(thinned) <= most:
                return thinned
        raise ConfigError(
            f"kept_windows={most} of the {len(self)} windows of an image are too few; the fewest that can be kept "
            f"are {len(thinned)}, and null keeps all"
        )

    def numbers_of(self, thinned: PatchGrid) -> npt.NDArray[np.int64]:
        """(M,) numbers here of the windows of a grid that was thinned from this one.

        Args:
            thinned: From `thinned`.

        >>> grid = PatchGrid((8, 8), patch=4, stride=2)
        >>> grid.numbers_of(grid.thinned(4)).tolist()
        [0, 2, 6, 8]
        """
        rows, columns = np.searchsorted(self.tops, thinned.tops), np.searchsorted(self.lefts, thinned.lefts)
        return (rows[:, None] * len(self.lefts) + columns).ravel()

    @cached_property
    def windows_per_pixel(self) -> npt.NDArray[np.int64]:
        """(H, W) number of windows that cover each pixel; 0 where the border is left out."""
        return self._over_pixels(np.ones(len(self), dtype=bool))

    def _over_pixels(self, chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        ones = torch.from_numpy(chosen).double().reshape(1, *self.shape)
        return self.boxes.paint(ones, self.image_size)[0].round().long().numpy()

    @property
    def covered(self) -> npt.NDArray[np.bool_]:
        """(H, W) whether any window covers the pixel."""
        return self.windows_per_pixel > 0

    def union(self, chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """(H, W) whether any of the chosen windows, (N,) bool, covers the pixel.

        >>> PatchGrid((1, 3), patch=1, stride=1).union(np.array([True, False, True])).tolist()
        [[True, False, True]]
        """
        return self._over_pixels(chosen) > 0

    @property
    def uncovered(self) -> int:
        """Pixels that no window covers; they are left out of maps and pixel metrics."""
        return int((~self.covered).sum())

    def extract(self, images: Tensor) -> Tensor:
        """Cut every window of a batch of images.

        Args:
            images: (B, 1, H, W), any dtype.

        Returns:
            (B, N, 1, p, p) windows, a copy, in the order of `positions`.

        >>> grid = PatchGrid((6, 8), patch=4, stride=2)
        >>> grid.extract(torch.zeros(2, 1, 6, 8)).shape
        torch.Size([2, 6, 1, 4, 4])
        """
        assert images.shape[-2:] == self.image_size, (images.shape, self.image_size)
        regular = all((np.diff(offsets) == self.stride).all() for offsets in (self.tops, self.lefts))
        step = self.stride if regular else 1
        windows = images[:, 0].unfold(1, self.patch, step).unfold(2, self.patch, step)  # a view: nothing is copied yet
        if not regular:
            windows = windows[:, self.tops[:, None], self.lefts]
        return windows.reshape(len(images), len(self), 1, self.patch, self.patch)

    def stitch(self, windows: Tensor) -> Tensor:
        """Put windows back; where they overlap, the pixel is their mean, where none lies, it is NaN.

        Args:
            windows: (B, N, 1, p, p) floating point, in the order of `positions`.

        Returns:
            (B, 1, H, W), `stitch(extract(x)) == x` on covered pixels.

        >>> grid = PatchGrid((6, 8), patch=4, stride=2)
        >>> x = torch.rand(2, 1, 6, 8)
        >>> torch.allclose(grid.stitch(grid.extract(x)), x)
        True
        """
        p = self.patch
        windows = windows.reshape(len(windows), *self.shape, p, p)
        total = windows.new_zeros(len(windows), *self.image_size)
        # Windows that do not overlap are added at once, through a view of the image.
        for rows, top, down in self._apart(self.tops):
            for columns, left, right in self._apart(self.lefts):
                part = windows[:, rows, columns]
                places = total[:, top:, left:].unfold(1, p, down).unfold(2, p, right)
                places[:, : part.shape[1], : part.shape[2]] += part
        return self.mean(total)

    def _apart(self, offsets: npt.NDArray[np.int64]) -> list[tuple[slice, int, int]]:
        """Sets of windows along a side that are evenly spaced and do not overlap: which, the first offset, the step."""
        every = -(-self.patch // self.stride)
        regular = int((offsets % self.stride == 0).sum())  # a window flush to the border may come after them
        sets = [
            (slice(first, regular, every), int(offsets[first]), every * self.stride)
            for first in range(min(every, regular))
        ]
        return sets + [(slice(i, i + 1), int(offsets[i]), self.patch) for i in range(regular, len(offsets))]

    def paint(self, values: Tensor) -> Tensor:
        """Give each pixel the mean of one value per window over the windows that cover it, NaN where none does.

        It is `stitch` of constant windows, without making them.

        Args:
            values: (B, N) floating point.

        Returns:
            (B, 1, H, W) of the same type.

        >>> PatchGrid((1, 4), patch=1, stride=1).paint(torch.tensor([[1.0, 2, 3, 4]])).tolist()
        [[[[1.0, 2.0, 3.0, 4.0]]]]
        """
        return self.mean(self.boxes.paint(values.reshape(-1, *self.shape), self.image_size))

    def mean(self, totals: Tensor) -> Tensor:
        """(B, H, W) sum over the windows at each pixel -> (B, 1, H, W) their mean, NaN where none lies."""
        count = torch.from_numpy(self.windows_per_pixel).to(totals)
        return (totals / count).unsqueeze(1)  # 0 / 0 is NaN: an uncovered pixel is never a score of 0

    def window_sums(self, masks: npt.NDArray[np.uint8] | npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        """Sum of each window, exactly.

        Args:
            masks: (B, H, W) of small whole numbers, for example 0 and 1.

        Returns:
            (B, rows, columns).

        >>> grid = PatchGrid((4, 4), patch=2, stride=2)
        >>> grid.window_sums(np.ones((1, 4, 4), dtype=bool)).tolist()
        [[[4, 4], [4, 4]]]
        """
        whole = np.float32 if 255 * self.patch**2 <= 2**24 else np.float64  # half the work where it holds every sum
        return self.boxes.sums(torch.from_numpy(np.ascontiguousarray(masks, whole))).long().numpy()

    def window_shares(self, masks: npt.NDArray[np.uint8] | npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        """(B, N) share of each window that the (B, H, W) masks of 0 and 1 fill."""
        return self.window_sums(masks).reshape(len(masks), len(self)) / self.patch**2

    def window_means(self, maps: Tensor) -> Tensor:
        """(B, H, W) maps, which may be NaN where no window lies -> (B, N) float32 mean of each window."""
        within = torch.where(torch.from_numpy(self.covered).to(maps.device), maps.double(), 0.0)
        return (self.boxes.sums(within).flatten(1) / self.patch**2).float()


def largest_patch_inside(masks: npt.NDArray[np.bool_], stride: int = 1) -> int:
    """Side of the largest window at `stride` without a background pixel in (B, H, W) masks; 0 where there is none."""
    best = 0
    for mask in masks:
        low, high = best, min(mask.shape)
        while low < high:  # a window of side n holds the one of side n - 1 at its corner, so bisection is right
            middle = (low + high + 1) // 2
            grid = PatchGrid(mask.shape, middle, stride)
            if (grid.window_sums(mask[None]) == middle**2).any():
                low = middle
            else:
                high = middle - 1
        best = low
    return best
