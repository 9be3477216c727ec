"""Figs. 1 and 3 to 6 of the paper: radiographs, patches, lung fields and architecture."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from torch import nn

from pneumo_ad import figures
from pneumo_ad.data.evenly_spaced import evenly_spaced
from pneumo_ad.data.radiographs import Radiographs
from pneumo_ad.errors import DataError
from pneumo_ad.evaluation.windows import Drawn, cut, located, places_of
from pneumo_ad.figures.net_layers import trace_layers
from pneumo_ad.figures.patch_grid import COLUMNS, ROWS
from pneumo_ad.labels import LABEL_WORDS, LABELS, NORMAL, PNEUMONIA, RADIOGRAPH, Vocabulary
from pneumo_ad.lungs import SegmenterFields, WholeImage
from pneumo_ad.metrics.catalogue import GroundTruth
from pneumo_ad.patches import PatchGrid

# Radiographs of each class in Figs. 1 and 5.
_SAMPLES = dict.fromkeys(LABELS, 4)
_FIELDS = {NORMAL: 3, PNEUMONIA: 2}

Rows = np.ndarray[tuple[int], np.dtype[np.int64]]


def _of_classes(data: Radiographs, rows: Rows, most: Mapping[str, int]) -> dict[str, Rows]:
    """Choose rows of each class that has any, evenly spaced and so not hand-picked."""
    labels = data.store.table["label"].iloc[rows].to_numpy()
    of_class = {label: rows[labels == label] for label in most}
    return {label: own[evenly_spaced(len(own), most[label])] for label, own in of_class.items() if len(own)}


def sample_radiographs(data: Radiographs, rows: Rows, terms: Vocabulary = RADIOGRAPH) -> Drawn:
    """Draw Fig. 1: radiographs of each class, evenly spaced over the rows.

    Args:
        data: Radiographs, with their lung fields and windows.
        rows: (I,) row numbers in the table.
        terms: Words of the run.
    """
    table, chosen = data.store.table, _of_classes(data, rows, _SAMPLES)
    names = {label: terms.fill(LABEL_WORDS[label]) for label in chosen}
    pictures = {
        names[label]: ([np.asarray(data.store.images[row]) for row in of_label], table["image"].iloc[of_label].tolist())
        for label, of_label in chosen.items()
    }
    shapes = {names[label]: figures.Proportions.of_rows(table.iloc[of_label]) for label, of_label in chosen.items()}
    numbers = table.iloc[np.concatenate(list(chosen.values()))][["image", "label", "patient", "height", "width"]]
    return Drawn(figures.sample_rows(pictures, shapes), numbers)


def sample_patches(
    data: Radiographs, grid: PatchGrid, rows: Rows, evidence: GroundTruth, origin: str, terms: Vocabulary = RADIOGRAPH
) -> Drawn:
    """Draw Fig. 3 or 4: fifty windows, evenly spaced over the radiographs.

    Args:
        data: Data set that holds the radiographs.
        grid: Grid of the windows.
        rows: (I,) row numbers in the store.
        evidence: Ground truth of these rows and windows.
        origin: Key of `GroundTruth.origins`.
        terms: Words of the run.

    Raises:
        DataError: No window of that origin.
    """
    places = places_of(evidence, origin)
    picked = places[evenly_spaced(len(places), COLUMNS * ROWS)]
    title = f"{figures.NAMES[origin]}: {len(picked)} of {len(places):,} patches of {grid.patch} × {grid.patch}"
    title = terms.fill(f"{title}, as the net saw them")
    return Drawn(figures.patch_grid(cut(data, grid, rows, picked), title), located(data, grid, rows, evidence, picked))


def draw_lung_fields(data: Radiographs, rows: Rows, terms: Vocabulary = RADIOGRAPH) -> Drawn:
    """Draw Fig. 5: lung fields of some radiographs of each class, and their source.

    Args:
        data: Radiographs, with their lung fields and windows.
        rows: (I,) row numbers in the table.
        terms: Words of the run.

    Raises:
        DataError: `lungs=none`, or no radiograph is normal or pneumonia.
    """
    if isinstance(data.lungs, WholeImage):
        raise DataError(f"the {terms.region} is not looked for (lungs=none)")
    of_class = _of_classes(data, rows, _FIELDS)
    if not of_class:
        raise DataError(f"no {terms.image} is normal or {terms.abnormal}")
    chosen = np.concatenate(list(of_class.values()))
    fields = [np.asarray(data.lung_fields[row]) for row in chosen]
    table = data.store.table.iloc[chosen]
    numbers = table[["image", "label", "patient"]].reset_index(drop=True)
    numbers["lung_area"] = [
        float(data.store.placement(row).inner(field).mean()) for row, field in zip(chosen, fields, strict=True)
    ]
    by_file = table["has_lung"].to_numpy(dtype=bool) & (not isinstance(data.lungs, SegmenterFields))
    numbers["lung_from"] = np.where(by_file, "mask file", "segmenter")
    names = [f"{row['image']}\n{terms.fill(LABEL_WORDS[row['label']])}" for _, row in numbers.iterrows()]
    images = [np.asarray(data.store.images[row]) for row in chosen]
    return Drawn(figures.lung_fields(images, fields, names, figures.Proportions.of_rows(table), terms), numbers)


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
