"""Compact index of the selected windows (run lengths)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pneumo_ad.patches.grid import PatchGrid


class PatchIndex:
    """Index of windows selected from many images, whose memory grows with images, not with windows.

    All windows are ordered image by image and row by row; consecutive selected windows are stored as a run of 16 bytes.
    Stride 1 thus costs about as much as stride 20, and all windows of any number of images are one run.

    Args:
        grid: Grid of the windows, shared by all images.
        starts: (R,) position in that order of the first window of each run, ascending.
        lengths: (R,) number of windows of each run.

    >>> grid = PatchGrid((4, 6), patch=2, stride=2)
    >>> index = PatchIndex.where(grid, np.array([[[1, 1, 0], [0, 0, 1]]], dtype=bool))
    >>> len(index), index.locate(np.array([0, 1, 2])).tolist()
    (3, [[0, 0, 0], [0, 0, 2], [0, 2, 4]])
    """

    def __init__(self, grid: PatchGrid, starts: npt.NDArray[np.integer], lengths: npt.NDArray[np.integer]) -> None:
        self.grid = grid
        self._ends = np.cumsum(lengths, dtype=np.int64)  # first number behind each run
        self._shifts = np.asarray(starts, dtype=np.int64) - (self._ends - lengths)  # from number to position

    @classmethod
    def every(cls, grid: PatchGrid, images: int) -> PatchIndex:
        """Index every window of some images.

        Args:
            grid: Grid of the windows.
            images: Number of images.
        """
        return cls(grid, np.array([0]), np.array([images * len(grid)]))

    @classmethod
    def where(cls, grid: PatchGrid, chosen: npt.NDArray[np.bool_], first_image: int = 0) -> PatchIndex:
        """Index the windows where a mask is true.

        Args:
            grid: Grid of the windows.
            chosen: (B, rows, columns) bool mask of the windows of each image.
            first_image: Number of the first image.
        """
        assert chosen.shape[1:] == grid.shape, (chosen.shape, grid.shape)
        edges = np.diff(chosen.ravel().view(np.int8), prepend=np.int8(0), append=np.int8(0))
        begin, end = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
        return cls(grid, begin + first_image * len(grid), end - begin)

    @classmethod
    def join(cls, parts: list[PatchIndex]) -> PatchIndex:
        """Concatenate indices of the same grid, ordered by their images."""
        lengths = [np.diff(part._ends, prepend=0) for part in parts]
        starts = [part._shifts + part._ends - length for part, length in zip(parts, lengths, strict=True)]
        return cls(parts[0].grid, np.concatenate(starts), np.concatenate(lengths))

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def locate(self, numbers: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
        """Locate windows by their numbers: (M,) -> (M, 3) image, top and left pixel.

        Raises:
            IndexError: Number outside [0, len).
        """
        numbers = np.asarray(numbers, dtype=np.int64)
        if numbers.size and numbers.view(np.uint64).max() >= len(self):  # as unsigned, a negative number is large
            raise IndexError(f"window {numbers.min()}..{numbers.max()} of an index of {len(self)} windows")
        place = numbers + self._shifts[np.searchsorted(self._ends, numbers, side="right")]
        line, column = np.divmod(place, len(self.grid.lefts))
        image, row = np.divmod(line, len(self.grid.tops))
        return np.stack([image, self.grid.tops[row], self.grid.lefts[column]], axis=1)
