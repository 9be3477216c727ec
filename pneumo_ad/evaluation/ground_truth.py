"""Ground truth of `Radiographs` from masks, boxes and labels."""

from __future__ import annotations

import logging

import numpy as np
import numpy.typing as npt

from pneumo_ad.data.radiographs import Radiographs
from pneumo_ad.inference.lung_shares import lung_shares
from pneumo_ad.inference.window_kinds import window_kinds
from pneumo_ad.labels import NORMAL, NOT_KNOWN, PNEUMONIA
from pneumo_ad.metrics.catalogue import MOSTLY_LUNG, GroundTruth
from pneumo_ad.patches import PatchGrid

log = logging.getLogger(__name__)

_MOST_PIXELS = 2**26  # of all maps in memory: 1,024 radiographs of 256 x 256, 256 of 512 x 512; 3.5 GB at peak


def places_for_pixels(
    known: npt.NDArray[np.bool_], normal: npt.NDArray[np.bool_], image_size: tuple[int, int]
) -> npt.NDArray[np.int64]:
    """Choose the radiographs of pixel metrics: all with known opacities, within a bound of memory.

    If they are too many, every second, fourth, ... radiograph of the normals and of the others is taken, so that the
    radiographs chosen for large images are a subset of those for small ones, and runs can be compared on both.

    Args:
        known: (I,) bool, radiographs whose opacity pixels are known.
        normal: (I,) bool, labelled normal.
        image_size: Height and width in pixels.

    Returns:
        (n,) places in `known`, rising.
    """
    groups = [np.flatnonzero(known & side) for side in (normal, ~normal)]
    most, every = _MOST_PIXELS // (image_size[0] * image_size[1]), 1
    while sum(-(-len(group) // every) for group in groups) > max(most, 2):  # one of each
        every *= 2
    return np.sort(np.concatenate([group[::every] for group in groups]))


def gather_ground_truth(data: Radiographs, rows: npt.NDArray[np.int64], kept: PatchGrid | None = None) -> GroundTruth:
    """Gather labels, patients, true kinds of windows and true pixels of some radiographs.

    `PixelTruth` holds the known pixels; kinds need the lung to be known too.

    Args:
        data: Radiographs, with their store.
        rows: (I,) row numbers in the store.
        kept: Windows of the result, thinned from the grid of the data; default all. Coverage and lung are by all.
    """
    store, grid = data.store, kept or data.grid
    numbers = data.grid.numbers_of(grid)
    table = store.table.iloc[rows]
    lung_share = np.empty((len(rows), len(grid)))
    any_in_lung = np.empty(len(rows), dtype=bool)
    pixel_truth = {}
    known = data.truth.known[rows]
    normal = (table["label"] == NORMAL).to_numpy()
    for_pixels = places_for_pixels(known, normal, store.image_size)
    if len(for_pixels) < known.sum():
        log.warning(
            "pixel metrics use %d of the %d images whose anomalies are known, to bound memory",
            len(for_pixels),
            known.sum(),
        )
    for i, row in enumerate(rows):
        content = store.content(rows[i : i + 1])
        if i in for_pixels:
            pixels = data.truth.pixels(row).astype(np.int8)  # NumPy 2.5 rejects -1 with uint8
            pixel_truth[i] = np.where(data.grid.covered & (content[0] == 1), pixels, NOT_KNOWN)
        shares = lung_shares(data, rows[i : i + 1])[0]
        lung_share[i], any_in_lung[i] = shares[numbers], (shares > MOSTLY_LUNG).any()
    return GroundTruth(
        patient=np.unique(table["patient"].to_numpy(dtype=str), return_inverse=True)[1],
        normal=normal,
        pneumonia=(table["label"] == PNEUMONIA).to_numpy(),
        kind=window_kinds(data, rows, grid),
        lung_share=lung_share,
        pixel_truth=pixel_truth,
        any_in_lung=any_in_lung,
        truths_left_out=int(known.sum()) - len(for_pixels),
    )
