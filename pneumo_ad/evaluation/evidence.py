"""What masks, boxes and labels tell of some radiographs of a data module."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pneumo_ad.data.datamodule import PatchDataModule
from pneumo_ad.data.table import NORMAL, PNEUMONIA
from pneumo_ad.metrics.headline import NOT_KNOWN, Evidence
from pneumo_ad.metrics.kinds import PADDING, UNKNOWN, true_kinds


def gather_evidence(data: PatchDataModule, rows: npt.NDArray[np.int64]) -> Evidence:
    """Labels, patients, true kinds of windows and true pixels of some radiographs.

    Opacities are known from a mask, from boxes, or from the label *normal* where the radiograph has a lung mask. The
    lung is that of the mask file where there is one, else the lung field.

    Args:
        data: With its store.
        rows: (I,) rows of the store.
    """
    store, grid = data.store, data.grid
    table = store.table.iloc[rows]
    kind = np.full((len(rows), len(grid)), UNKNOWN, dtype=np.int8)
    lung_share = np.empty((len(rows), len(grid)))
    pixel_truth = {}
    has_lung, has_opacity = (table[f"has_{name}"].to_numpy(dtype=bool) for name in ("lung", "opacity"))
    normal = (table["label"] == NORMAL).to_numpy()
    for i, row in enumerate(rows):
        one = slice(row, row + 1)
        lung_share[i] = grid.window_shares(data.lung_fields[one])[0]
        content = store.content(rows[i : i + 1])
        if has_opacity[i] or (has_lung[i] and normal[i]):
            lung = store.lung[one] if has_lung[i] else data.lung_fields[one]
            kind[i] = true_kinds(grid.window_shares(lung)[0], grid.window_shares(store.opacity[one])[0])
            truth = np.where(store.opacity[row] == 1, 2, lung[0]).astype(np.int8)
            pixel_truth[i] = np.where(grid.covered & (content[0] == 1), truth, NOT_KNOWN).astype(np.int8)
        # A window with padding in it is no patch of a radiograph, whatever its masks say.
        padded = grid.window_shares(content)[0] < 1
        kind[i][padded], lung_share[i][padded] = PADDING, 0
    return Evidence(
        patient=np.unique(table["patient"].to_numpy(dtype=str), return_inverse=True)[1],
        normal=normal,
        pneumonia=(table["label"] == PNEUMONIA).to_numpy(),
        kind=kind,
        lung_share=lung_share,
        pixel_truth=pixel_truth,
    )
