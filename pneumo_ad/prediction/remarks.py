"""Warnings on radiographs that are unusual, whose scores are to be read with care.

Hints, not tests. Bounds were set on public frontal radiographs of children and adults: none of 629, nor of 180
synthetic ones, got a warning, and every negative of them was reported as inverted (November 2026). Of 1381 others 5 got
one. Lateral views and CT slices were synthetic: the detection rate of real ones is not known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from pneumo_ad.labels import RADIOGRAPH, Vocabulary
from pneumo_ad.metrics.conformal import least_normals

# Shares of the radiograph: lung fields of frontal chest radiographs cover 0.11 to 0.45 of it.
_LEAST_AREA, _MOST_AREA = 0.09, 0.5
_LEAST_SECOND = 0.12  # share of the larger lung: a smaller second region is no lung
_LEAST_SIDE = 0.25  # share of a single lung field on its lesser side; from here on it lies across the middle
_MOST_SHARED = 0.1  # share of the narrower lung's columns that the other shares: 0 on frontal radiographs
_BORDER = 10 / 256  # width of the strips at the four sides
_BLACK = 25  # mean grey level of the brightest strip: from 34 on frontal radiographs, 2 around the body on CT
_MIDDLE = (108 / 256, 148 / 256)  # columns where the spine and the heart lie
# Beginnings of the warnings, from here and from a DICOM header, by which the score means nothing: no frontal radiograph
# as it was taken. Others (one lung only, small, large, enlarged) go with real radiographs too, whose decisions stand.
_VOIDING = (
    *("lateral view?", "inverted?", "black all around", "in colour"),
    *("view ", "body part ", "raw detector values"),
)
_LEAST_FILES = 20  # least number of files to judge their source by
_FAR = 75  # percentile: of normals of the run's source three quarters lie above the 25th, and below the 75th


def remarks(
    image: npt.NDArray[np.uint8],
    lung_field: npt.NDArray[np.uint8],
    size: tuple[int, int],
    fitted: tuple[int, int],
    terms: Vocabulary = RADIOGRAPH,
) -> list[str]:
    """Return short warnings on a radiograph, the most severe first; empty where there are none.

    Args:
        image: (h, w) uint8 grey levels without padding.
        lung_field: (h, w) uint8 of 0 and 1. All 1, with `lungs=none`, the image may show anything, and is not asked
            whether it is a frontal radiograph.
        size: Height and width of the file in pixels.
        fitted: Height and width of the fitted radiograph in pixels, without padding.
        terms: Words of the predictor.
    """
    warnings = [] if lung_field.all() else _doubts_of_chest(image, lung_field, terms)
    if size[0] < fitted[0] or size[1] < fitted[1]:
        warnings.append("smaller than image_size (enlarged)")
    return warnings


def _doubts_of_chest(image: npt.NDArray[np.uint8], lung_field: npt.NDArray[np.uint8], terms: Vocabulary) -> list[str]:
    warnings = []
    area = float(lung_field.mean())
    if area == 0:
        warnings.append(f"no {terms.region} found")
    else:
        if area < _LEAST_AREA:
            warnings.append(f"small {terms.region} area")
        if area > _MOST_AREA:
            warnings.append(f"large {terms.region} area")
        if words := _placed(lung_field):
            warnings.append(terms.fill(words))
    if looks_inverted(image):
        warnings.append("inverted?")
    if max(strip.mean() for strip in _strips(image)) < _BLACK:
        warnings.append("black all around (CT slice?)")
    return warnings


def voiding(warnings: str) -> list[str]:
    """Return the warnings by which a score means nothing: such a file is left undecided.

    Args:
        warnings: Column `warnings` of a file.

    >>> voiding("small lung area; lateral view?; smaller than image_size (enlarged)")
    ['lateral view?']
    """
    return [words for words in warnings.split("; ") if words.startswith(_VOIDING)]


def looks_inverted(image: npt.NDArray[np.uint8]) -> bool:
    """Whether the border is brighter than the middle, where spine and heart lie: air is then white, as on a negative.

    Args:
        image: (h, w) uint8 grey levels without padding.

    >>> chest = np.full((64, 64), 40, dtype=np.uint8)
    >>> chest[:, 24:40] = 200
    >>> bool(looks_inverted(chest)), bool(looks_inverted(255 - chest))
    (False, True)
    """
    width = image.shape[1]
    border = np.concatenate([strip.ravel() for strip in _strips(image)[:3]])
    middle = image[:, int(width * _MIDDLE[0]) : int(np.ceil(width * _MIDDLE[1]))]
    return bool(border.mean() > middle.mean())


def _placed(lung_field: npt.NDArray[np.uint8]) -> str:
    """Return a warning on the position of the lungs: on frontal radiographs they are two, side by side."""
    labels, count = ndimage.label(lung_field)
    sizes = np.bincount(labels.ravel())[1:]
    second, first = np.argsort(sizes)[-2:] if count > 1 else (0, 0)
    if count < 2 or sizes[second] < _LEAST_SECOND * sizes[first]:
        left = lung_field[:, : lung_field.shape[1] // 2].sum() / lung_field.sum()
        return "lateral view?" if _LEAST_SIDE <= left <= 1 - _LEAST_SIDE else "one {region} only?"
    columns = [(labels == 1 + lung).any(axis=0) for lung in (first, second)]
    shared = (columns[0] & columns[1]).sum() / min(one.sum() for one in columns)
    return "lateral view?" if shared > _MOST_SHARED else ""


def _strips(image: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.uint8]]:
    """Return the strips along top, left, right and bottom."""
    rows, columns = (max(1, round(side * _BORDER)) for side in image.shape)
    return [image[:rows], image[:, :columns], image[:, -columns:], image[-rows:]]


def doubts_of_source(table: Sequence[Mapping[str, Any]], rate: float) -> str:
    """Return a warning if files may be from another source than the run's held-out normals; else empty.

    A hint only: files score high too where nearly all show an anomaly, as in a ward for pneumonia.

    Args:
        table: Rows of `predictions.csv`.
        rate: Declared false-alarm rate.

    >>> rows = [{"percentile": 80.0 + i} for i in range(20)]
    >>> doubts_of_source(rows, 0.05)[:70], doubts_of_source([{"percentile": 5.0 * i} for i in range(20)], 0.05)
    ("three quarters of the files score higher than 85 % of the run's held-o", '')
    """
    percentiles = [row["percentile"] for row in table if row.get("percentile") is not None]
    if len(percentiles) < _LEAST_FILES:
        return ""
    low, high = np.quantile(percentiles, [0.25, 0.75])
    if low > _FAR:
        shift = f"higher than {low:.0f} % of the run's held-out normals: nearly all are anomalous, or another source"
    elif high < 100 - _FAR:
        shift = f"lower than {100 - high:.0f} % of the run's held-out normals: another source, of which less is found"
    else:
        return ""
    least = max(20, least_normals(rate))
    return f"three quarters of the files score {shift}. calibrate=DIR takes {least} or more normals of this site"
