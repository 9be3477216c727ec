"""Where patches lie in an image: one geometry for data, scoring, truth and maps.

Everything is a pure function of (image size, patch size, stride, cover). Windows are numbered row by row from the top
left corner; heights come before widths.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pneumo_ad.errors import ConfigError

Cover = Literal["inside", "full"]


def starts(length: int, patch: int, stride: int, cover: Cover = "inside") -> npt.NDArray[np.int64]:
    """Offsets of the windows along one side.

    Args:
        length: Side of the image in pixels.
        patch: Side of a patch in pixels.
        stride: Pixels from one window to the next.
        cover: `inside` keeps to the stride and may leave a border uncovered; `full` adds a window flush to the end.

    Raises:
        ConfigError: A stride below 1 or longer than the side, a patch that does not fit, or an unknown `cover`.

    >>> starts(256, 32, 20).tolist()[-1], len(starts(256, 32, 20))
    (220, 12)
    >>> starts(10, 4, 4), starts(10, 4, 4, cover="full")
    (array([0, 4]), array([0, 4, 6]))
    """
    if cover not in ("inside", "full"):
        raise ConfigError(f"cover={cover!r} is not known; expected 'inside' or 'full'")
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

    @cached_property
    def windows_per_pixel(self) -> npt.NDArray[np.int64]:
        """(H, W) number of windows that cover each pixel; 0 where the border is left out."""
        sides = []
        for offsets, length in zip((self.tops, self.lefts), self.image_size, strict=True):
            change = np.zeros(length + 1, dtype=np.int64)
            np.add.at(change, offsets, 1)
            np.add.at(change, offsets + self.patch, -1)
            sides.append(change[:-1].cumsum())
        return sides[0][:, None] * sides[1][None, :]

    @property
    def covered(self) -> npt.NDArray[np.bool_]:
        """(H, W) whether any window covers the pixel."""
        return self.windows_per_pixel > 0

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
        windows = images[:, 0].unfold(1, self.patch, 1).unfold(2, self.patch, 1)  # a view: (B, H-p+1, W-p+1, p, p)
        windows = windows[:, self.tops][:, :, self.lefts]
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
        rows, columns = self.shape
        height, width = self.image_size
        p = self.patch
        windows = windows.reshape(len(windows), rows, columns, p, p)
        # First along each row of windows, then down the columns: rows + columns additions instead of rows x columns.
        bands = windows.new_zeros(len(windows), rows, p, width)
        for column, left in enumerate(self.lefts.tolist()):
            bands[..., left : left + p] += windows[:, :, column]
        total = windows.new_zeros(len(windows), height, width)
        for row, top in enumerate(self.tops.tolist()):
            total[:, top : top + p] += bands[:, row]
        count = torch.as_tensor(self.windows_per_pixel, device=windows.device)
        return (total / count.to(total.dtype)).unsqueeze(1)  # 0 / 0 is NaN: an uncovered pixel is never a score of 0

    def paint(self, values: Tensor) -> Tensor:
        """Give each pixel the mean of one value per window over the windows that cover it, NaN where none does.

        Args:
            values: (B, N) floating point.

        Returns:
            (B, 1, H, W).
        """
        p = self.patch
        return self.stitch(values[:, :, None, None, None].expand(-1, -1, 1, p, p))

    def window_sums(self, masks: npt.NDArray[np.uint8] | npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        """Sum of each window, exactly, from an integral image: the cost does not depend on the patch size.

        Args:
            masks: (B, H, W) of small whole numbers, for example 0 and 1.

        Returns:
            (B, rows, columns).

        >>> grid = PatchGrid((4, 4), patch=2, stride=2)
        >>> grid.window_sums(np.ones((1, 4, 4), dtype=bool)).tolist()
        [[[4, 4], [4, 4]]]
        """
        height, width = self.image_size
        integral = np.zeros((len(masks), height + 1, width + 1), dtype=np.int64)
        np.cumsum(masks, axis=1, dtype=np.int64, out=integral[:, 1:, 1:])
        np.cumsum(integral[:, 1:, 1:], axis=2, out=integral[:, 1:, 1:])
        return self._differences(integral)

    def window_shares(self, masks: npt.NDArray[np.uint8] | npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        """(B, N) share of each window that the (B, H, W) masks of 0 and 1 fill."""
        return self.window_sums(masks).reshape(len(masks), len(self)) / self.patch**2

    def window_means(self, maps: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """(B, H, W) maps -> (B, N) mean of each window."""
        height, width = self.image_size
        integral = np.zeros((len(maps), height + 1, width + 1))
        np.cumsum(maps, axis=1, dtype=np.float64, out=integral[:, 1:, 1:])
        np.cumsum(integral[:, 1:, 1:], axis=2, out=integral[:, 1:, 1:])
        return (self._differences(integral).reshape(len(maps), len(self)) / self.patch**2).astype(np.float32)

    def _differences(self, integral: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """(B, H + 1, W + 1) integral images -> (B, rows, columns) sum of each window."""
        t, le, p = self.tops[:, None], self.lefts[None, :], self.patch
        return integral[:, t + p, le + p] - integral[:, t, le + p] - integral[:, t + p, le] + integral[:, t, le]


class PatchIndex:
    """Numbers the windows chosen from many images, in memory that grows with images and not with windows.

    Neighbouring windows of one row are kept as a run (image, row, first column, length): stride 1 costs about what
    stride 20 does.

    Args:
        grid: The geometry shared by all images.
        runs: (R, 4) whole numbers: image, row of windows, first column of windows, number of windows.

    >>> grid = PatchGrid((4, 6), patch=2, stride=2)
    >>> index = PatchIndex.where(grid, np.array([[[1, 1, 0], [0, 0, 1]]], dtype=bool))
    >>> len(index), index.locate(np.array([0, 1, 2])).tolist()
    (3, [[0, 0, 0], [0, 0, 2], [0, 2, 4]])
    """

    def __init__(self, grid: PatchGrid, runs: npt.NDArray[np.integer]) -> None:
        self.grid = grid
        self._runs = runs.astype(np.int32)
        self._ends = np.cumsum(runs[:, 3], dtype=np.int64)

    @classmethod
    def every(cls, grid: PatchGrid, images: int) -> PatchIndex:
        """Every window of `images` images.

        Args:
            grid: Positions of windows in an image.
            images: How many there are.
        """
        rows, columns = grid.shape
        image, row = np.meshgrid(np.arange(images), np.arange(rows), indexing="ij")
        zeros = np.zeros(image.size, dtype=np.int64)
        return cls(grid, np.stack([image.ravel(), row.ravel(), zeros, zeros + columns], axis=1))

    @classmethod
    def where(cls, grid: PatchGrid, chosen: npt.NDArray[np.bool_], first_image: int = 0) -> PatchIndex:
        """The windows where `chosen`, (B, rows, columns), is true; images are numbered from `first_image`.

        Args:
            grid: Positions of windows in an image.
            chosen: (B, rows, columns) bool.
            first_image: Number of the first image.
        """
        assert chosen.shape[1:] == grid.shape, (chosen.shape, grid.shape)
        flank = np.zeros((*chosen.shape[:2], 1), dtype=np.int8)
        edges = np.diff(chosen.astype(np.int8), axis=2, prepend=flank, append=flank)
        image, row, begin = np.nonzero(edges == 1)
        end = np.nonzero(edges == -1)[2]
        return cls(grid, np.stack([image + first_image, row, begin, end - begin], axis=1))

    @classmethod
    def join(cls, parts: list[PatchIndex]) -> PatchIndex:
        """One index after the other; all of the same grid."""
        return cls(parts[0].grid, np.concatenate([part._runs for part in parts]))

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def per_image(self, images: int) -> npt.NDArray[np.int64]:
        """(images,) number of windows chosen from each image."""
        return np.bincount(self._runs[:, 0], weights=self._runs[:, 3], minlength=images).astype(np.int64)

    def locate(self, numbers: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
        """(M,) numbers of windows -> (M, 3) image, top, left.

        Raises:
            IndexError: A number outside [0, len).
        """
        numbers = np.asarray(numbers, dtype=np.int64)
        if numbers.size and not (numbers.min() >= 0 and numbers.max() < len(self)):
            raise IndexError(f"window {numbers.min()}..{numbers.max()} of an index of {len(self)} windows")
        run = np.searchsorted(self._ends, numbers, side="right")
        image, row, column, length = self._runs[run].T
        column = column + (numbers - (self._ends[run] - length))
        return np.stack([image, self.grid.tops[row], self.grid.lefts[column]], axis=1)


def gather(
    images: npt.NDArray[np.uint8], where: npt.NDArray[np.int64], patch: int, halo: int = 0
) -> npt.NDArray[np.uint8]:
    """Cut one patch per row of `where` in one vectorised read.

    Args:
        images: (I, H, W), may be memory-mapped.
        where: (M, 3) image, top, left.
        patch: Side in pixels.
        halo: Pixels of context on every side; beyond the image's border the image is mirrored.

    Returns:
        (M, 1, p + 2 halo, p + 2 halo), a copy.

    >>> gather(np.arange(9, dtype=np.uint8).reshape(1, 3, 3), np.array([[0, 0, 1]]), patch=1, halo=1)[0, 0].tolist()
    [[3, 4, 5], [0, 1, 2], [3, 4, 5]]
    """
    side = patch + 2 * halo
    image, top, left = where[:, 0], where[:, 1] - halo, where[:, 2] - halo
    if side <= min(images.shape[1:]):
        height, width = images.shape[1:]
        inside = (top >= 0) & (top + side <= height) & (left >= 0) & (left + side <= width)
        # A strided view of all windows: indexing it copies only what is asked for.
        windows = np.lib.stride_tricks.sliding_window_view(images, (side, side), axis=(1, 2))
        if inside.all():
            return windows[image, top, left][:, None]
    else:
        inside = np.zeros(len(where), dtype=bool)
    cut = np.empty((len(where), 1, side, side), dtype=images.dtype)
    if inside.any():
        cut[inside, 0] = windows[image[inside], top[inside], left[inside]]
    rows, columns = (
        mirrored(first[~inside, None] + np.arange(side), length)
        for first, length in zip((top, left), images.shape[1:], strict=True)
    )
    cut[~inside, 0] = images[image[~inside, None, None], rows[:, :, None], columns[:, None, :]]
    return cut


def mirrored(places: npt.NDArray[np.int64], length: int) -> npt.NDArray[np.int64]:
    """Places along a side that may lie up to `length` - 1 beyond its ends, mirrored into it; the ends are not repeated.

    Args:
        places: Any shape.
        length: Of the side in pixels.

    >>> mirrored(np.arange(-2, 6), 4).tolist()
    [2, 1, 0, 1, 2, 3, 2, 1]
    """
    return length - 1 - np.abs(length - 1 - np.abs(places))


def inner(pictures: Tensor, halo: int) -> Tensor:
    """(..., h, w) without `halo` pixels on every side, a view.

    Args:
        pictures: (..., h, w).
        halo: Pixels to leave out.

    >>> inner(torch.zeros(2, 1, 8, 10), 2).shape
    torch.Size([2, 1, 4, 6])
    """
    return pictures[..., halo : pictures.shape[-2] - halo, halo : pictures.shape[-1] - halo]


def check_halo(halo: int, image_size: tuple[int, int]) -> None:
    """See that windows can be cut with so many pixels of surroundings.

    Args:
        halo: Pixels on every side.
        image_size: Height and width in pixels.

    Raises:
        ConfigError: A negative halo, or one that the image is too small to mirror.
    """
    if halo < 0:
        raise ConfigError(f"halo={halo} must be 0 or more pixels")
    if halo >= min(image_size):
        height, width = image_size
        raise ConfigError(
            f"halo={halo} cannot be mirrored at the border of images of {height} x {width} pixels; the largest that "
            f"works is halo={min(image_size) - 1}: take larger images (image_size) or a smaller halo"
        )


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
