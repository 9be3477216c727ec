"""k evenly spaced indices of n."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def evenly_spaced(number: int, most: int) -> npt.NDArray[np.int64]:
    """At most `most` of so many numbers, evenly spaced, the first and the last among them.

    Args:
        number: How many there are.
        most: How many are wanted.

    >>> evenly_spaced(9, 3).tolist(), evenly_spaced(2, 3).tolist(), evenly_spaced(0, 3).tolist()
    ([0, 4, 8], [0, 1], [])
    """
    return np.linspace(0, number - 1, min(most, number)).round().astype(np.int64)
