"""k evenly spaced indices of n."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def evenly_spaced(number: int, most: int) -> npt.NDArray[np.int64]:
    """Return at most `most` evenly spaced indices below `number`, the first and the last included.

    Args:
        number: Number of items.
        most: Largest number of indices.

    >>> evenly_spaced(9, 3).tolist(), evenly_spaced(2, 3).tolist(), evenly_spaced(0, 3).tolist()
    ([0, 4, 8], [0, 1], [])
    """
    return np.linspace(0, number - 1, min(most, number)).round().astype(np.int64)
