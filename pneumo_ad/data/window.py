"""Which grey values become black and white: the intensity window of a radiograph."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

# Grey values that become 0 and 1. The first is above the second where high values are dark (MONOCHROME1).
Window = tuple[float, float]

# Deeper files rarely use their whole range (12 bits in 16): the window between these percentiles becomes [0, 1].
WINDOW_PERCENTILES = (0.1, 99.9)


def intensity_window(pixels: npt.NDArray[np.generic]) -> Window:
    """Grey values that become 0 and 1: the full range for 8 bit, percentiles for deeper files.

    >>> intensity_window(np.zeros((2, 2), dtype=np.uint8))
    (0.0, 255.0)
    """
    if pixels.dtype == np.uint8:
        return 0.0, 255.0
    # 16 bits need no copy eight times their size: their percentiles are the same.
    exact: npt.NDArray[Any] = pixels if pixels.dtype == np.uint16 else pixels.astype(np.float64)
    low, high = np.percentile(exact, WINDOW_PERCENTILES)
    return float(low), float(high if high > low else low + 1)


def displayed(pixels: npt.NDArray[np.generic], window: Window) -> npt.NDArray[np.uint8] | npt.NDArray[np.float32]:
    """Pixels through their window, without a detour: grey levels that are shown as they are stay uint8.

    Args:
        pixels: (H, W) of any depth.
        window: Grey values that become black and white.

    Returns:
        (H, W) uint8 as stored, or float32 in [0, 1].

    >>> displayed(np.zeros((2, 2), dtype=np.uint8), (0.0, 255.0)).dtype, displayed(np.zeros((2, 2)), (0.0, 9.0)).dtype
    (dtype('uint8'), dtype('float32'))
    """
    if pixels.dtype == np.uint8 and window == (0.0, 255.0):
        return pixels.astype(np.uint8, copy=False)
    return apply_window(pixels, window)


def apply_window(pixels: npt.NDArray[np.generic], window: Window) -> npt.NDArray[np.float32]:
    """(H, W) float32 in [0, 1]: `window` stretched, values beyond it clipped.

    Args:
        pixels: (H, W) of any depth.
        window: Grey values that become 0 and 1.

    >>> apply_window(np.array([[0, 3, 9]], dtype=np.uint16), (4.0, 0.0)).tolist()
    [[1.0, 0.25, 0.0]]
    """
    low, high = window
    return np.clip((pixels.astype(np.float32) - low) / (high - low), 0.0, 1.0)
