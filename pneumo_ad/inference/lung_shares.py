"""Share of each window inside the lung field."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pneumo_ad.inference import Scorable


def lung_shares(data: Scorable, rows: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
    """Compute the share of each window inside the lung field, (I, N) in [0, 1]; 0 for windows that contain padding.

    Args:
        data: Radiographs with their lung fields and windows.
        rows: (I,) row numbers in the table.
    """
    inside = data.grid.window_shares(data.content(rows)) == 1
    return np.where(inside, data.grid.window_shares(data.lung_fields[rows]), 0)
