"""What can be scored, and what comes of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from pneumo_ad.patches import PatchGrid

# Every window through the net, or the net over whole radiographs.
Mode = Literal["windows", "dense"]


class Scorable(Protocol):
    """What can be scored: `Radiographs` with their store, or a few files that were just read."""

    @property
    def grid(self) -> PatchGrid:
        """The windows."""
        ...

    @property
    def view(self) -> str:
        """What a net sees of them: `patch` or `image`."""
        ...

    @property
    def images(self) -> npt.NDArray[np.uint8]:
        """(N, H, W) grey levels as nets see them."""
        ...

    @property
    def lung_fields(self) -> npt.NDArray[np.uint8]:
        """(N, H, W) of 0 and 1."""
        ...

    def content(self, rows: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8]:
        """(len(rows), H, W) of 0 and 1: what is radiograph and not padding."""
        ...


@dataclass(frozen=True)
class Scored:
    """A few radiographs, scored.

    Attributes:
        rows: (b,) rows of the store.
        scores: By name of score, (b, N) float32, windows in the order of `PatchGrid.positions`.
        maps: By name of score, (b, H, W) float32 anomaly maps, NaN where no window lies; empty unless asked for.
        likeliest: (b, N) the kind that the net finds likeliest in each window, of 0 to 2; None unless asked for.
    """

    rows: npt.NDArray[np.int64]
    scores: dict[str, npt.NDArray[np.float32]]
    maps: dict[str, npt.NDArray[np.float32]]
    likeliest: npt.NDArray[np.int8] | None = None


def finite_radiographs(
    windows: Iterable[npt.NDArray[np.floating]], maps: Iterable[npt.NDArray[np.floating]], grid: PatchGrid
) -> npt.NDArray[np.bool_]:
    """(b,) whether every window of a radiograph has finite scores, and every pixel that a window covers.

    Args:
        windows: (b, N) of each score.
        maps: (b, H, W) anomaly maps of each.
        grid: The windows.
    """
    beyond = ~grid.covered
    found = [np.isfinite(one).all(axis=1) for one in windows]
    found += [(np.isfinite(one) | beyond).all(axis=(1, 2)) for one in maps]
    return np.logical_and.reduce(found)


GROUP = 32  # radiographs of 256 x 256 pixels that are scored, and held in memory, at a time; fewer of larger ones


def groups(rows: npt.NDArray[np.integer], grid: PatchGrid) -> list[npt.NDArray[np.integer]]:
    """Rows that are scored together, so that their maps take the same memory whatever the size of an image.

    Args:
        rows: (R,) all that are to be scored.
        grid: The windows.

    >>> [len(group) for group in groups(np.arange(40), PatchGrid((256, 256), 32, 20))]
    [32, 8]
    >>> len(groups(np.arange(3), PatchGrid((4000, 4000), 32, 20)))
    3
    """
    height, width = grid.image_size
    together = max(1, min(GROUP, GROUP * 256**2 // (height * width)))
    return [rows[first : first + together] for first in range(0, len(rows), together)]


@dataclass(frozen=True)
class Loaded:
    """`Scorable` that lie in no store.

    Attributes:
        grid: The windows.
        view: Input of the net: `patch`, or `image` for whole radiographs.
        images: (b, H, W) grey levels as nets see them.
        lung_fields: (b, H, W) of 0 and 1.
        contents: (b, H, W) of 0 and 1: what is radiograph and not padding.
    """

    grid: PatchGrid
    view: str
    images: npt.NDArray[np.uint8]
    lung_fields: npt.NDArray[np.uint8]
    contents: npt.NDArray[np.uint8]

    def content(self, rows: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8]:
        """(len(rows), H, W) of 0 and 1."""
        return self.contents[rows]
