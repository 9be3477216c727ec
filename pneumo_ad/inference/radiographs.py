"""Radiographs to score and their scores."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from pneumo_ad.data.progress import progress_bar
from pneumo_ad.patches import PatchGrid

# `windows` runs the net on every window, `dense` over whole radiographs.
Mode = Literal["windows", "dense"]


class Scorable(Protocol):
    """Radiographs to score: `Radiographs` with their store, or a few files in memory."""

    @property
    def grid(self) -> PatchGrid:
        """Grid of the windows."""

    @property
    def view(self) -> str:
        """Input of the net: `patch`, or `image` for whole radiographs."""

    @property
    def images(self) -> npt.NDArray[np.uint8]:
        """(N, H, W) uint8 grey levels, the input of nets."""

    @property
    def lung_fields(self) -> npt.NDArray[np.uint8]:
        """(N, H, W) uint8 lung fields, 0 or 1."""

    def content(self, rows: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8]:
        """Return masks of the radiographs without their padding, (len(rows), H, W) of 0 and 1."""


@dataclass(frozen=True)
class Scored:
    """Scores of a batch of radiographs.

    Attributes:
        rows: (b,) rows of the store.
        scores: (b, N) float32 window scores by name of the score, windows in the order of `PatchGrid.positions`.
        maps: (b, H, W) float32 anomaly maps by name of the score, NaN where no window lies; empty unless requested.
        likeliest: (b, N) int8 likeliest kind of each window, 0 to 2; None unless requested.
        likeliest_pixels: (b, H, W) int8 likeliest kind of each pixel, 0 to 2; None unless requested.
        radiographs: (b,) float32 score of each radiograph, of a net that gives one itself; else None.
    """

    rows: npt.NDArray[np.integer]
    scores: dict[str, npt.NDArray[np.float32]]
    maps: dict[str, npt.NDArray[np.float32]]
    likeliest: npt.NDArray[np.int8] | None = None
    likeliest_pixels: npt.NDArray[np.int8] | None = None
    radiographs: npt.NDArray[np.float32] | None = None


def finite_radiographs(
    windows: Iterable[npt.NDArray[np.floating]], maps: Iterable[npt.NDArray[np.floating]], grid: PatchGrid
) -> npt.NDArray[np.bool_]:
    """Check which radiographs have finite scores at all windows and finite maps at all covered pixels, (b,) bool.

    Args:
        windows: (b, N) window scores, an array per score.
        maps: (b, H, W) anomaly maps, an array per score.
        grid: Grid of the windows.
    """
    beyond = ~grid.covered
    finite = [np.isfinite(one).all(axis=1) for one in windows]
    finite += [(np.isfinite(one) | beyond).all(axis=(1, 2)) for one in maps]
    return np.logical_and.reduce(finite)


GROUP = 32  # radiographs of 256 x 256 pixels scored, and held in memory, at a time; fewer of larger ones


def groups(
    rows: npt.NDArray[np.integer], grid: PatchGrid, progress: str | None = None
) -> Iterable[npt.NDArray[np.integer]]:
    """Split rows into groups that are scored together, sized to bound the memory of their maps at any image size.

    Args:
        rows: (R,) row numbers of the radiographs to score.
        grid: Grid of the windows.
        progress: Caption of the progress bar; None shows none.

    >>> [len(group) for group in groups(np.arange(40), PatchGrid((256, 256), 32, 20))]
    [32, 8]
    >>> len(groups(np.arange(3), PatchGrid((4000, 4000), 32, 20)))
    3
    """
    height, width = grid.image_size
    together = max(1, min(GROUP, GROUP * 256**2 // (height * width)))
    parts = [rows[first : first + together] for first in range(0, len(rows), together)]
    return progress_bar(parts, desc=progress, unit="group", shown=progress is not None)


@dataclass(frozen=True)
class Loaded:
    """`Scorable` radiographs in memory, without a store.

    Attributes:
        grid: Grid of the windows.
        view: Input of the net: `patch`, or `image` for whole radiographs.
        images: (b, H, W) uint8 grey levels, the input of nets.
        lung_fields: (b, H, W) lung fields, 0 or 1.
        contents: (b, H, W) of 0 and 1: radiograph or padding.
    """

    grid: PatchGrid
    view: str
    images: npt.NDArray[np.uint8]
    lung_fields: npt.NDArray[np.uint8]
    contents: npt.NDArray[np.uint8]

    def content(self, rows: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8]:
        """See `Scorable`."""
        return self.contents[rows]
