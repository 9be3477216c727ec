"""Shortcuts of pixels: maps that need no model, at two scales that no model chooses.

The scale decides how well brightness or contrast ranks pixels. At the scale of a model's own windows the yardstick
would be another for each model of the same data.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Map = npt.NDArray[np.float32]

_AROUND = 1 / 8  # of the shorter side: 32 of 256 pixels, the windows of the paper
_NEXT = 3  # pixels a side of what the contrast of a pixel is measured in


def _brightness(image: Map, side: int) -> Map:
    return _mean(image, side)


def _contrast(image: Map, side: int) -> Map:
    wide = image.astype(np.float64)
    spread = _mean(np.square(wide), max(side, _NEXT)) - np.square(_mean(wide, max(side, _NEXT)))
    return np.sqrt(np.maximum(spread, 0)).astype(np.float32)


def _sharpness(image: Map, side: int) -> Map:
    return _mean(np.abs(ndimage.laplace(image, mode="nearest")), side)


_OF: dict[str, Callable[[Map, int], Map]] = {
    "brightness": _brightness,
    "contrast": _contrast,
    "sharpness": _sharpness,
}
PIXEL_SHORTCUTS = (*_OF, *(f"{name}_around" for name in _OF))


def shortcut_map(name: str, image: npt.NDArray[np.uint8]) -> Map:
    """Compute a shortcut at each pixel of a radiograph, in grey levels.

    Args:
        name: One of `PIXEL_SHORTCUTS`: `brightness`, `contrast` (standard deviation) or `sharpness` (absolute
            Laplacian) at the pixel (contrast: in 3 x 3 pixels), or with `_around` in a square of an eighth of the
            shorter side.
        image: (h, w) uint8 grey levels without padding.

    Returns:
        (h, w) float32; beyond the border the outermost pixels go on.

    >>> step = np.repeat(np.array([[0, 0, 90, 90]], dtype=np.uint8), 4, axis=0)
    >>> shortcut_map("brightness", step)[0].tolist(), shortcut_map("sharpness", step)[0].tolist()
    ([0.0, 0.0, 90.0, 90.0], [0.0, 90.0, 90.0, 0.0])
    """
    side = max(1, round(_AROUND * min(image.shape))) if name.endswith("_around") else 1
    return _OF[name.removesuffix("_around")](image.astype(np.float32), side)


def _mean(values: npt.NDArray[Any], side: int) -> npt.NDArray[Any]:
    mean: npt.NDArray[Any] = ndimage.uniform_filter(values, side, mode="nearest") if side > 1 else values
    return mean
