"""True kinds of the windows of radiographs, from their masks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pneumo_ad.data.radiographs import Radiographs
from pneumo_ad.labels import PADDING, UNKNOWN
from pneumo_ad.metrics.kinds import true_kinds
from pneumo_ad.patches import PatchGrid


def window_kinds(
    data: Radiographs, rows: npt.NDArray[np.integer], kept: PatchGrid | None = None
) -> npt.NDArray[np.int8]:
    """Return the true kind of each window of some radiographs; kinds need opacities and lung to be known.

    Args:
        data: Radiographs, with their store.
        rows: (I,) row numbers in the store.
        kept: Grid of the N windows, thinned from that of the data; default all.

    Returns:
        (I, N) int8 index into `labels.KINDS`: UNKNOWN where masks are missing, PADDING where a window holds any.
    """
    grid = kept or data.grid
    kinds = np.full((len(rows), len(grid)), UNKNOWN, dtype=np.int8)
    truth = data.truth
    known = (truth.known & truth.lung_known)[rows]
    for i, row in enumerate(rows):
        if known[i]:
            kinds[i] = true_kinds(*grid.window_shares(np.stack([truth.lung(row), data.store.opacity[row]])))
        # A window with padding is no patch of a radiograph, regardless of masks.
        kinds[i][grid.window_shares(data.content(rows[i : i + 1]))[0] < 1] = PADDING
    return kinds
