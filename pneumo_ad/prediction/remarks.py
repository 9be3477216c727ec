"""What is odd about a radiograph, so that its score is read with care.

Hints, not tests. Bounds were set on public frontal radiographs of children and adults: none of 629, nor of 180 drawn
ones, drew a remark, and every negative of them was told as inverted (November 2026). Of 1381 others 5 drew
one. Lateral views and CT slices were drawn: how many real ones are told is not known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from pneumo_ad.metrics.conformal import least_normals

# Shares of the radiograph: lung fields of frontal chest radiographs cover 0.11 to 0.45 of it.
_LEAST_AREA, _MOST_AREA = 0.09, 0.5
_LEAST_SECOND = 0.12  # of the larger lung: a smaller second one is no lung
_LEAST_SIDE = 0.25  # share of a single lung field on the lesser side of the middle: it lies across it
_MOST_SHARED = 0.1  # columns of the narrower lung that the other has too: 0 on frontal radiographs
_BORDER = 10 / 256  # width of the strips at the left, at the right, at the top and at the bottom
_BLACK = 25  # mean grey level of the brightest strip: from 34 on frontal radiographs, 2 around the body on CT
_MIDDLE = (108 / 256, 148 / 256)  # columns where the spine and the heart lie
_LEAST_FILES = 20  # judged together, below which their source is not doubted
_FAR = 75  # percentile; of normals of the run's own source three quarters lie above the 25th, and below the 75th


def remarks(
    image: npt.NDArray[np.uint8], lung_field: npt.NDArray[np.uint8], size: tuple[int, int], fitted: tuple[int, int]
) -> list[str]:
    """Short words, the weightiest first; none where nothing is odd.

    Args:
        image: (h, w) grey levels without padding.
        lung_field: (h, w) of 0 and 1; 1 throughout where lungs were not looked for.
        size: Height and width of the file.
        fitted: Height and width to which it was fitted, without padding.
    """
    found = []
    area = float(lung_field.mean())
    if area == 0:
        found.append("no lung found")
    elif area < 1:
        if area < _LEAST_AREA:
            found.append("small lung area")
        if area > _MOST_AREA:
            found.append("not a chest?")
        if words := _placed(lung_field):
            found.append(words)
    if looks_inverted(image):
        found.append("inverted?")
    if max(strip.mean() for strip in _strips(image)) < _BLACK:
        found.append("black all around (CT slice?)")
    if size[0] < fitted[0] or size[1] < fitted[1]:
        found.append("smaller than image_size (enlarged)")
    return found


def looks_inverted(image: npt.NDArray[np.uint8]) -> bool:
    """Whether the border is brighter than the middle, where spine and heart lie: air is then white, as on a negative.

    Args:
        image: (h, w) grey levels without padding.

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
    """What is odd about where the lungs lie: on frontal radiographs they are two, side by side."""
    labels, count = ndimage.label(lung_field)
    sizes = np.bincount(labels.ravel())[1:]
    second, first = np.argsort(sizes)[-2:] if count > 1 else (0, 0)
    if count < 2 or sizes[second] < _LEAST_SECOND * sizes[first]:
        left = lung_field[:, : lung_field.shape[1] // 2].sum() / lung_field.sum()
        return "lateral view?" if _LEAST_SIDE <= left <= 1 - _LEAST_SIDE else "one lung only?"
    columns = [(labels == 1 + lung).any(axis=0) for lung in (first, second)]
    shared = (columns[0] & columns[1]).sum() / min(one.sum() for one in columns)
    return "lateral view?" if shared > _MOST_SHARED else ""


def _strips(image: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.uint8]]:
    """Along the top, the left, the right and the bottom."""
    rows, columns = (max(1, round(side * _BORDER)) for side in image.shape)
    return [image[:rows], image[:, :columns], image[:, -columns:], image[-rows:]]


def doubts_of_source(table: Sequence[Mapping[str, Any]], rate: float) -> str:
    """Why files as a whole may be of another source than the run's held-out normals; empty where nothing tells so.

    A hint: where nearly all show an anomaly, as in a ward for pneumonia, they score high too.

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
        found = f"higher than {low:.0f} % of the run's held-out normals: nearly all are anomalous, or another source"
    elif high < 100 - _FAR:
        found = f"lower than {100 - high:.0f} % of the run's held-out normals: another source, of which less is found"
    else:
        return ""
    least = max(20, least_normals(rate))
    return f"three quarters of the files score {found}. calibrate=DIR takes {least} or more normals of this site"
