"""Arrays that lie in several places, read as one along their first axis: what is asked for is copied, nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt


class Joined:
    """(N, ...) from parts of (n, ...) each, in their order; reading it gives what one array would give.

    It is indexed as an array is, by whole numbers, slices, arrays of whole numbers or a mask of rows, alone or first in
    a tuple, whose others may be whole numbers, slices or, beside an array, arrays that broadcast with it. A slice
    within one part is a view, all else a copy. It is not written to.

    Args:
        parts: Arrays, memory-mapped or not, of one dtype and of one shape but for their length.

    >>> joined = Joined([np.array([[1, 2]]), np.array([[3, 4], [5, 6]])])
    >>> joined.shape, joined[-1].tolist(), joined[[2, 0]].tolist(), joined[0:2, 1].tolist()
    ((3, 2), [5, 6], [[5, 6], [1, 2]], [2, 4])
    """

    def __init__(self, parts: Sequence[npt.NDArray[Any]]) -> None:
        kinds = {(part.dtype, part.shape[1:]) for part in parts}
        assert len(kinds) == 1, kinds
        self.parts = tuple(parts)
        self.ends = np.cumsum([len(part) for part in parts])
        self.dtype: np.dtype[Any] = parts[0].dtype
        self.shape: tuple[int, ...] = (int(self.ends[-1]), *parts[0].shape[1:])

    @property
    def ndim(self) -> int:
        """Axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def nbytes(self) -> int:
        """Bytes of all parts."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[npt.NDArray[Any]]:
        for part in self.parts:
            yield from part

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        if copy is False:
            raise ValueError("parts that lie apart become one array by copying alone")
        return np.concatenate(self.parts).astype(dtype or self.dtype, copy=False)

    def __getitem__(self, key: Any) -> npt.NDArray[Any]:
        first, *rest = key if isinstance(key, tuple) else (key,)
        if isinstance(first, (int, np.integer)):
            row = range(len(self))[first]  # negative numbers and IndexError as in a list
            part, begin, _ = next(self.spread(np.array([row])))
            return cast("npt.NDArray[Any]", part[(row - begin, *rest)])
        if isinstance(first, slice):
            if any(isinstance(one, (np.ndarray, list)) for one in rest):
                raise IndexError("a slice of rows goes with whole numbers and slices; with an array, name the rows")
            begin, end, step = first.indices(len(self))
            if step == 1 and begin < end:
                (part, before, _), *more = self.spread(np.array([begin, end - 1]))
                if not more:
                    return part[(slice(begin - before, end - before), *rest)]
            first = np.arange(begin, end, step)
        return self._pick(self._rows(first), rest)

    def _rows(self, first: Any) -> npt.NDArray[np.int64]:
        rows = np.asarray(first)
        if rows.dtype == bool:
            if rows.shape != (len(self),):
                raise IndexError(f"a mask of shape {rows.shape} for {len(self)} rows")
            return np.flatnonzero(rows)
        if rows.size and not np.issubdtype(rows.dtype, np.integer):
            raise IndexError(f"rows are chosen by whole numbers, slices or a mask, not by {first!r}")
        rows = rows.astype(np.int64)
        if rows.size and (rows.min() < -len(self) or rows.max() >= len(self)):
            raise IndexError(f"row {rows.min()}..{rows.max()} of {len(self)}")
        return np.where(rows < 0, rows + len(self), rows)

    def _pick(self, rows: npt.NDArray[np.int64], rest: list[Any]) -> npt.NDArray[Any]:
        arrays = [i for i, one in enumerate(rest) if isinstance(one, (np.ndarray, list))]
        rows, *wide = np.broadcast_arrays(rows, *(rest[i] for i in arrays))
        for i, one in zip(arrays, wide, strict=True):
            rest[i] = one

        def cut(part: npt.NDArray[Any], begin: int, here: tuple[npt.NDArray[np.intp], ...]) -> npt.NDArray[Any]:
            others = (one[here] if isinstance(one, np.ndarray) else one for one in rest)
            return cast("npt.NDArray[Any]", part[(rows[here] - begin, *others)])

        nothing = cut(self.parts[0], 0, np.nonzero(rows < 0))  # tells the shape of what a row gives
        picked = np.empty((*rows.shape, *nothing.shape[1:]), dtype=self.dtype)
        for part, begin, here in self.spread(rows):
            picked[here] = cut(part, begin, here)
        return picked

    def spread(
        self, rows: npt.NDArray[np.integer]
    ) -> Iterator[tuple[npt.NDArray[Any], int, tuple[npt.NDArray[np.intp], ...]]]:
        """Deal rows to the parts that hold them.

        Args:
            rows: Whole numbers in [0, N), of any shape.

        Yields:
            For each part that holds any: the part, the number of rows before it, and where in `rows` its own stand.
        """
        owner = np.searchsorted(self.ends, rows, side="right")
        for number in np.unique(owner).tolist():
            part = self.parts[number]
            yield part, int(self.ends[number]) - len(part), np.nonzero(owner == number)


def join(parts: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """One array as it is, several as `Joined`, which those who index need not tell from an array."""
    return parts[0] if len(parts) == 1 else cast("npt.NDArray[Any]", Joined(parts))


def parts_of(array: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], ...]:
    """What `join` was given."""
    return array.parts if isinstance(array, Joined) else (array,)
