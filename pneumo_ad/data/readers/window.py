"""Intensity window of a radiograph: the grey values that become black and white."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

# Grey values that become 0 and 1. The first is above the second if high values are dark (MONOCHROME1).
Window = tuple[float, float]

# Deeper files rarely use their whole range (12 bits in 16): the window between these percentiles becomes [0, 1].
WINDOW_PERCENTILES = (0.1, 99.9)

_BAND = 64  # rows
_SAMPLE = 8192  # pixels from which the beginning of the tails is estimated


def intensity_window(pixels: npt.NDArray[np.generic]) -> Window:
    """Return the window of (H, W) pixels: the full range for 8 bit, percentiles for deeper files.

    >>> intensity_window(np.zeros((2, 2), dtype=np.uint8))
    (0.0, 255.0)
    """
    if pixels.dtype == np.uint8:
        return 0.0, 255.0
    if pixels.dtype == np.uint16 and pixels.size > _SAMPLE:
        low, high = _tail_percentiles(pixels.ravel())
    else:
        low, high = (float(level) for level in np.percentile(pixels.astype(np.float64), WINDOW_PERCENTILES))
    return low, high if high > low else low + 1


def _tail_percentiles(pixels: npt.NDArray[np.generic]) -> tuple[float, float]:
    """Compute the percentiles of (n,) uint16 exactly, in a tenth of the time: a sample bounds the levels to sort."""
    sample = np.sort(pixels[:: pixels.size // _SAMPLE | 1])  # odd, or it would run down a few columns
    margin = len(sample) // 500  # twice the tail: the sample rarely misses it, which is detected below
    percentiles = []
    for percentile, tail in (
        (WINDOW_PERCENTILES[0], pixels[pixels <= sample[margin]]),
        (WINDOW_PERCENTILES[1], pixels[pixels >= sample[-1 - margin]]),
    ):
        rank = percentile / 100 * (pixels.size - 1)
        first = int(rank) - (pixels.size - len(tail) if percentile > 50 else 0)
        if not 0 <= first < len(tail) - 1:
            tail, first = pixels, int(rank)
        below, above = (float(level) for level in np.partition(tail, (first, first + 1))[first : first + 2])
        share = rank % 1
        # Interpolated from the nearer of two levels, as np.percentile does, to round alike.
        percentiles.append(below + (above - below) * share if share < 0.5 else above - (above - below) * (1 - share))
    return percentiles[0], percentiles[1]


def displayed(pixels: npt.NDArray[np.generic], window: Window) -> Image.Image:
    """Apply a window and return an image of Pillow; 8-bit pixels with the full range are not converted.

    Other pixels are converted band by band, which reuses memory: allocating the whole costs more than the arithmetic.

    Args:
        pixels: (H, W) grey values of any dtype.
        window: Grey values that become black and white.

    Returns:
        Pillow's image, of mode L as stored, or F in [0, 1]; it may share the memory of `pixels`.

    >>> displayed(np.zeros((2, 2), dtype=np.uint8), (0.0, 255.0)).mode, displayed(np.zeros((2, 2)), (0.0, 9.0)).mode
    ('L', 'F')
    """
    if pixels.dtype == np.uint8 and window == (0.0, 255.0):
        return Image.fromarray(pixels)
    image = Image.new("F", (pixels.shape[1], pixels.shape[0]))
    for top in range(0, len(pixels), _BAND):
        image.paste(Image.fromarray(apply_window(pixels[top : top + _BAND], window)), (0, top))
    return image


def apply_window(pixels: npt.NDArray[np.generic], window: Window) -> npt.NDArray[np.float32]:
    """Apply a window: map its grey values to 0 and 1 linearly, and clip; returns (H, W) float32 in [0, 1].

    Args:
        pixels: (H, W) grey values of any dtype.
        window: Grey values that become 0 and 1.

    >>> apply_window(np.array([[0, 3, 9]], dtype=np.uint16), (4.0, 0.0)).tolist()
    [[1.0, 0.25, 0.0]]
    """
    low, high = window
    # float32 does not represent all integers above 2**24.
    levels: npt.NDArray[np.floating] = pixels.astype(np.float32 if max(abs(low), abs(high)) <= 2**24 else np.float64)
    levels -= low  # in place: fresh memory costs more than the arithmetic
    levels /= high - low
    return np.clip(levels, 0.0, 1.0, out=levels).astype(np.float32, copy=False)
