"""Figs. 1 and 3 to 6 of the paper: radiographs, patches, lung fields and architecture."""

from __future__ import annotations

import numpy as np
import pandas as pd
from torch import nn

from pneumo_ad import figures
from pneumo_ad.data.evenly_spaced import evenly_spaced
from pneumo_ad.data.radiographs import Radiographs
from pneumo_ad.errors import DataError
from pneumo_ad.evaluation.windows import Drawn, cut, located
from pneumo_ad.figures.net_layers import trace_layers
from pneumo_ad.figures.patch_grid import COLUMNS, ROWS
from pneumo_ad.labels import NORMAL, OTHER, PNEUMONIA
from pneumo_ad.lungs import FileFields, SegmenterFields, WholeImage
from pneumo_ad.metrics.catalogue import GroundTruth
from pneumo_ad.patches import PatchGrid

_OF_CLASS = 4  # radiographs in Fig. 1
_FIELDS = {NORMAL: 3, PNEUMONIA: 2}  # radiographs in Fig. 5

Rows = np.ndarray[tuple[int], np.dtype[np.int64]]


def sample_radiographs(data: Radiographs, rows: Rows) -> Drawn:
    """Draw Fig. 1: radiographs of each class, evenly spaced over the rows and so not hand-picked.

    Args:
        data: Radiographs, with their lung fields and windows.
        rows: (I,) row numbers in the table.
    """
    table = data.store.table
    chosen = {}
    for label in (NORMAL, PNEUMONIA, OTHER):
        of_label = rows[(table["label"].iloc[rows] == label).to_numpy()]
        if len(of_label):
            chosen[label] = of_label[evenly_spaced(len(of_label), _OF_CLASS)]
    pictures = {
        label: ([np.asarray(data.store.images[row]) for row in of_label], table["image"].iloc[of_label].tolist())
        for label, of_label in chosen.items()
    }
    numbers = table.iloc[np.concatenate(list(chosen.values()))][["image", "label", "patient", "height", "width"]]
    return Drawn(figures.sample_rows(pictures), numbers)


def sample_patches(data: Radiographs, grid: PatchGrid, rows: Rows, evidence: GroundTruth, origin: str) -> Drawn:
    """Draw Fig. 3 or 4: fifty windows, evenly spaced over the radiographs.

    Args:
        data: Data set that holds the radiographs.
        grid: Grid of the windows.
        rows: (I,) row numbers in the store.
        evidence: Ground truth of these rows and windows.
        origin: Key of `GroundTruth.origins`.

    Raises:
        DataError: No window of that origin.
    """
    places = np.argwhere(evidence.origins[origin])
    if not len(places):
        raise DataError(f"no window of {figures.NAMES[origin]} in these radiographs")
    picked = places[evenly_spaced(len(places), COLUMNS * ROWS)]
    title = f"{figures.NAMES[origin]}: {len(picked)} of {len(places):,} patches of {grid.patch} × {grid.patch}"
    return Drawn(figures.patch_grid(cut(data, grid, rows, picked), title), located(data, grid, rows, evidence, picked))


def draw_lung_fields(data: Radiographs, rows: Rows) -> Drawn:
    """Draw Fig. 5: lung fields of some radiographs of each class, and their source.

    Args:
        data: Radiographs, with their lung fields and windows.
        rows: (I,) row numbers in the table.

    Raises:
        DataError: `lungs=none`, or no radiograph is normal or pneumonia.
    """
    if isinstance(data.lungs, WholeImage):
        raise DataError("the lungs are not looked for (lungs=none)")
    table = data.store.table
    chosen = []
    for label, number in _FIELDS.items():
        of_label = rows[(table["label"].iloc[rows] == label).to_numpy()]
        if len(of_label):
            chosen += of_label[evenly_spaced(len(of_label), number)].tolist()
    if not chosen:
        raise DataError("no radiograph is normal or pneumonia")
    fields = [np.asarray(data.lung_fields[row]) for row in chosen]
    numbers = table.iloc[chosen][["image", "label", "patient"]].reset_index(drop=True)
    numbers["lung_area"] = [
        float(data.store.placement(row).inner(field).mean()) for row, field in zip(chosen, fields, strict=True)
    ]
    numbers["lung_from"] = _source(data, table["has_lung"].iloc[chosen])
    names = [f"{row['image']}\n{row['label']}" for _, row in numbers.iterrows()]
    return Drawn(figures.lung_fields([np.asarray(data.store.images[row]) for row in chosen], fields, names), numbers)


def _source(data: Radiographs, has_lung: pd.Series) -> list[str]:
    """Return the source of each lung field: mask file or segmenter."""
    if isinstance(data.lungs, FileFields):
        return ["mask file"] * len(has_lung)
    if isinstance(data.lungs, SegmenterFields):
        return ["segmenter"] * len(has_lung)
    return ["mask file" if known else "segmenter" for known in has_lung]


def net_architecture(net: nn.Module, data: Radiographs) -> Drawn:
    """Draw Fig. 6: layers of the net; their parameters add up to those of the net.

    Args:
        net: Net to draw.
        data: Radiographs, with their lung fields and windows.
    """
    side = data.grid.patch + 2 * data.halo
    size = data.grid.image_size if data.view == "image" else (side, side)
    layers = trace_layers(net, size)
    parameters = sum(layer.parameters for layer in layers)
    title = f"{type(net).__name__}: {parameters:,} parameters, input {size[0]} × {size[1]}"
    numbers = pd.DataFrame([vars(layer) for layer in layers])
    numbers["inputs"] = [" ".join(map(str, layer.inputs)) for layer in layers]
    numbers.insert(0, "number", range(len(layers)))
    return Drawn(figures.architecture(layers, title), numbers.rename(columns={"name": "layer"}))
