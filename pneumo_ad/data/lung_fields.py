"""Lung fields as the data ask for them, and those of who does not look for lungs; `pneumo_ad.lungs` has the others."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from pneumo_ad.data.store.cached_array import cached_array
from pneumo_ad.data.store.store import Store

_GROUP = 256  # radiographs whose content is held at once


class LungFields(Protocol):
    """What `Radiographs` ask for: a store in, (N, H, W) uint8 of 0 and 1 out."""

    def __call__(self, store: Store) -> npt.NDArray[np.uint8]:
        """(N, H, W) of 0 and 1."""
        ...

    def of_images(self, images: npt.NDArray[np.uint8], content: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """(N, H, W) of 0 and 1 of radiographs that lie in no store and have no masks.

        Args:
            images: (N, H, W) grey levels.
            content: (N, H, W) of 0 and 1: what is radiograph and not padding.
        """
        ...


class WholeImage:
    """Takes everything that is radiograph (and not padding) for lung: the lungs are not looked for."""

    def __call__(self, store: Store) -> npt.NDArray[np.uint8]:
        """(N, H, W) of 0 and 1."""
        groups = np.array_split(np.arange(len(store)), -(-len(store) // _GROUP))
        return cached_array(store, "content", lambda: (field for rows in groups for field in store.content(rows)))

    def of_images(self, images: npt.NDArray[np.uint8], content: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """(N, H, W) of 0 and 1, see `LungFields`."""
        return content
