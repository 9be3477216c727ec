"""Which patches there are, many more than could be cut: a number each, and where it lies."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pneumo_ad.patches.grid import PatchGrid


class PatchIndex:
    """Numbers the windows chosen from many images, in memory that grows with images and not with windows.

    The windows of all images stand in one line, image by image and row by row; neighbours in it are kept as a run, 16
    bytes each: stride 1 costs about what stride 20 does, and all windows of any number of images are one run.

    Args:
        grid: The geometry shared by all images.
        starts: (R,) place in that line of the first window of each run, ascending.
        lengths: (R,) windows of each run.

    >>> grid = PatchGrid((4, 6), patch=2, stride=2)
    >>> index = PatchIndex.where(grid, np.array([[[1, 1, 0], [0, 0, 1]]], dtype=bool))
    >>> len(index), index.locate(np.array([0, 1, 2])).tolist()
    (3, [[0, 0, 0], [0, 0, 2], [0, 2, 4]])
    """

    def __init__(self, grid: PatchGrid, starts: npt.NDArray[np.integer], lengths: npt.NDArray[np.integer]) -> None:
        self.grid = grid
        self._ends = np.cumsum(lengths, dtype=np.int64)  # the numbers of a run end before
        self._shifts = np.asarray(starts, dtype=np.int64) - (self._ends - lengths)  # from a number to its place

    @classmethod
    def every(cls, grid: PatchGrid, images: int) -> PatchIndex:
        """Every window of `images` images.

        Args:
            grid: Positions of windows in an image.
            images: How many there are.
        """
        return cls(grid, np.array([0]), np.array([images * len(grid)]))

    @classmethod
    def where(cls, grid: PatchGrid, chosen: npt.NDArray[np.bool_], first_image: int = 0) -> PatchIndex:
        """The windows where `chosen`, (B, rows, columns), is true; images are numbered from `first_image`.

        Args:
            grid: Positions of windows in an image.
            chosen: (B, rows, columns) bool.
            first_image: Number of the first image.
        """
        assert chosen.shape[1:] == grid.shape, (chosen.shape, grid.shape)
        edges = np.diff(chosen.ravel().view(np.int8), prepend=np.int8(0), append=np.int8(0))
        begin, end = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
        return cls(grid, begin + first_image * len(grid), end - begin)

    @classmethod
    def join(cls, parts: list[PatchIndex]) -> PatchIndex:
        """One index after the other; all of the same grid, the images of each after those of the one before."""
        lengths = [np.diff(part._ends, prepend=0) for part in parts]
        starts = [part._shifts + part._ends - length for part, length in zip(parts, lengths, strict=True)]
        return cls(parts[0].grid, np.concatenate(starts), np.concatenate(lengths))

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def locate(self, numbers: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
        """(M,) numbers of windows -> (M, 3) image, top, left.

        Raises:
            IndexError: A number outside [0, len).
        """
        numbers = np.asarray(numbers, dtype=np.int64)
        if numbers.size and numbers.view(np.uint64).max() >= len(self):  # without a sign, a negative number is large
            raise IndexError(f"window {numbers.min()}..{numbers.max()} of an index of {len(self)} windows")
        place = numbers + self._shifts[np.searchsorted(self._ends, numbers, side="right")]
        line, column = np.divmod(place, len(self.grid.lefts))
        image, row = np.divmod(line, len(self.grid.tops))
        where = np.empty((len(numbers), 3), dtype=np.int64)
        where[:, 0], where[:, 1], where[:, 2] = image, self.grid.tops[row], self.grid.lefts[column]
        return where
