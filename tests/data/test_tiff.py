"""TIFF over the product of its tags, compared with tifffile; what is not read is refused by the tag's name."""

import itertools
import struct
import time
import tracemalloc

import numpy as np
import pytest
import tifffile
from PIL import Image
from tiffs import tags_of, tiff_of, write_tiff

from pneumo_ad.data.radiograph import read_mask, read_pixels, read_radiograph
from pneumo_ad.errors import DataError

H, W = 37, 53
LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R 601-2
# Orientation -> how a picture that is stored so comes upright: TIFF 6.0, page 36.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a[::-1].swapaxes(0, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a[:, ::-1].swapaxes(0, 1),
}
# Kind and bits of samples, PhotometricInterpretation, and samples of a pixel; not all of them are read.
SAMPLES = [
    *(("u", bits, white, 1) for bits in (1, 2, 4, 8, 12, 16, 32, 64) for white in (0, 1)),
    *(("i", bits, white, 1) for bits in (8, 16, 32, 64) for white in (0, 1)),
    *(("f", bits, white, 1) for bits in (16, 32, 64) for white in (0, 1)),
    ("c", 64, 1, 1), ("u", 8, 2, 3), ("u", 16, 2, 3), ("f", 32, 2, 3), ("u", 4, 3, 1), ("u", 8, 3, 1), ("u", 16, 3, 1),
    ("u", 8, 4, 1), ("u", 8, 5, 4), ("u", 16, 5, 4), ("u", 8, 6, 3), ("u", 8, 8, 3),
]  # fmt: skip


def drawn(kind, bits, per_pixel, seed=0):
    rng = np.random.default_rng(seed)
    shape = (H, W) if per_pixel == 1 else (H, W, per_pixel)
    if kind in "fc":
        return rng.normal(size=shape).astype(f"{kind}{bits // 8}")
    size = max(8, 1 << (bits - 1).bit_length()) // 8
    low, high = (0, 2**bits - 1) if kind == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return rng.integers(low, high, shape, endpoint=True, dtype=f"{kind}{size}")


def meaning(samples, bits, photometric, palette=None):
    """Grey levels that samples stand for, black the lowest, as `read_pixels` promises them."""
    samples = samples[..., 0] if samples.ndim == 3 and samples.shape[2] == 1 else samples
    if photometric in (0, 1):
        if samples.dtype.kind == "f":
            return samples if photometric else max(1, samples.max()) - samples
        levels = samples if photometric else (2**bits - 1 - samples.astype(np.int64)).astype(samples.dtype)
        return levels * (255 // (2**bits - 1)) if bits < 8 else levels
    if photometric == 3:
        samples = palette[samples]
    if photometric == 5:
        samples = (255 - samples[..., :3].astype(float)) * (255 - samples[..., 3:]) / 255
    return (samples >> 8 if bits == 16 else samples) @ LUMA


def attempt(path):
    """Pixels and "", or None and the words of the refusal; anything but a `DataError` passes through."""
    try:
        return read_pixels(path), ""
    except DataError as refused:
        return None, str(refused)
