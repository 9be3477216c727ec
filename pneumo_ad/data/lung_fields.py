"""Interface of lung fields, and the one without lung segmentation (`WholeImage`); `pneumo_ad.lungs` has the others."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from pneumo_ad.data.store.cached_array import cached_array
from pneumo_ad.data.store.store import Store

_GROUP = 256  # radiographs whose content masks are in memory at once


class LungFields(Protocol):
    """Lung fields that `Radiographs` need: from a store to (N, H, W) uint8 of 0 and 1."""

    def __call__(self, store: Store) -> npt.NDArray[np.uint8]:
        """Return the lung fields of a store, (N, H, W) uint8 of 0 and 1."""
        ...

    def of_images(self, images: npt.NDArray[np.uint8], content: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return the lung fields, (N, H, W) uint8 of 0 and 1, of radiographs without a store and without masks.

        Args:
            images: (N, H, W) uint8 grey levels.
            content: (N, H, W) uint8, 1 on the radiograph and 0 on the padding.
        """
        ...


class WholeImage:
    """Lung fields that are the whole radiograph without its padding: no lung segmentation."""

    def __call__(self, store: Store) -> npt.NDArray[np.uint8]:
        """Return the content masks of a store, (N, H, W) uint8 of 0 and 1."""
        groups = np.array_split(np.arange(len(store)), -(-len(store) // _GROUP))
        return cached_array(store, "content", lambda: (field for rows in groups for field in store.content(rows)))

    def of_images(self, images: npt.NDArray[np.uint8], content: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return `content`, see `LungFields`."""
        return content
