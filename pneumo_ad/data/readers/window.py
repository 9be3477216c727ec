"""Which grey values become black and white: the intensity window of a radiograph."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

# Grey values that become 0 and 1. The first is above the second where high values are dark (MONOCHROME1).
Window = tuple[float, float]

# Deeper files rarely use their whole range (12 bits in 16): the window between these percentiles becomes [0, 1].
WINDOW_PERCENTILES = (0.1, 99.9)

_BAND = 64  # rows
_SAMPLE = 8192  # pixels that tell where the tails begin


def intensity_window(pixels: npt.NDArray[np.generic]) -> Window:
    """Grey values that become 0 and 1: the full range for 8 bit, percentiles for deeper files.

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
    """The percentiles to the bit, a tenth of the time: a sample tells beyond which levels to look for them.

    Args:
        pixels: (n,) uint16.
    """
    sample = np.sort(pixels[:: pixels.size // _SAMPLE | 1])  # odd, or it would run down a few columns
    margin = len(sample) // 500  # twice the tail: that the sample misses it is rare, and is seen
    found = []
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
        # Between two levels from the nearer one, as np.percentile rounds.
        found.append(below + (above - below) * share if share < 0.5 else above - (above - below) * (1 - share))
    return found[0], found[1]


def displayed(pixels: npt.NDArray[np.generic], window: Window) -> Image.Image:
    """Pixels through their window, without a detour: grey levels that are shown as they are stay 8 bit.

    Others pass through it band by band: what a band takes is used again, where fresh memory for the whole costs more
    than the arithmetic.

    Args:
        pixels: (H, W) of any depth.
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
    """(H, W) float32 in [0, 1]: `window` stretched, values beyond it clipped.

    Args:
        pixels: (H, W) of any depth.
        window: Grey values that become 0 and 1.

    >>> apply_window(np.array([[0, 3, 9]], dtype=np.uint16), (4.0, 0.0)).tolist()
    [[1.0, 0.25, 0.0]]
    """
    low, high = window
    # Beyond 24 bits float32 skips whole numbers.
    levels: npt.NDArray[np.floating] = pixels.astype(np.float32 if max(abs(low), abs(high)) <= 2**24 else np.float64)
    levels -= low  # in place: fresh memory costs more than the arithmetic
    levels /= high - low
    return np.clip(levels, 0.0, 1.0, out=levels).astype(np.float32, copy=False)
