"""Marks on a radiograph besides the body: side letters, annotations, leads, edge of the collimation."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .noise import Array

_PRINT = ("AP", "PA", "PORT", "ERECT", "SUPINE", "MOBILE", "A-P", "12:41", "kV 70")


def draw_leads(shape: tuple[int, int], rng: np.random.Generator) -> Array:
    """Draw the attenuation of cables and electrodes on the skin, (H, W) float32 in [0, 1]; zeros in most images.

    Args:
        shape: Height and width in pixels.
        rng: Random generator.
    """
    if rng.random() >= 0.2:
        return np.zeros(shape, np.float32)
    layer = Image.new("L", (shape[1] * 2, shape[0] * 2))
    pen = ImageDraw.Draw(layer)
    for _ in range(rng.integers(1, 4)):
        s = np.linspace(0, 1, 40)
        knots = rng.uniform((0.05, 0.0), (0.95, 1.0), (3, 2)) * (shape[1] * 2, shape[0] * 2)
        curve = np.outer((1 - s) ** 2, knots[0]) + np.outer(2 * s * (1 - s), knots[1]) + np.outer(s**2, knots[2])
        dense = int(rng.integers(30, 90))
        pen.line([tuple(p) for p in curve.tolist()], fill=dense, width=int(rng.integers(1, 4)))
        if rng.random() < 0.6:
            (x, y), r = knots[0], float(rng.uniform(0.008, 0.018)) * sum(shape)
            pen.ellipse((x - r, y - r, x + r, y + r), fill=dense)
            pen.ellipse((x - r / 2, y - r / 2, x + r / 2, y + r / 2), fill=dense * 2)
    return np.asarray(layer.reduce(2), dtype=np.float32) / 255


def stamp(grey: Array, rng: np.random.Generator) -> Array:
    """Add side letter, annotations and edge of the collimation, each at random; returns (H, W) float32 in [0, 1].

    Args:
        grey: (H, W) float32 grey values in [0, 1].
        rng: Random generator.
    """
    rows, columns = grey.shape
    layer = Image.new("L", (columns, rows))
    pen = ImageDraw.Draw(layer)
    if rng.random() < 0.75:
        # The patient's right is on the left of the image.
        letter, left = ("R", True) if rng.random() < 0.7 else ("L", False)
        x = rng.uniform(0.02, 0.14) * columns
        at = (x if left else columns - x - 0.05 * columns, rng.uniform(0.02, 0.35) * rows)
        size = round(rng.uniform(0.035, 0.075) * min(grey.shape))
        pen.text(at, letter, fill=int(rng.integers(190, 256)), font=ImageFont.load_default(size))
    if rng.random() < 0.3:
        size = max(6, round(0.028 * min(grey.shape)))
        for line in range(rng.integers(1, 4)):
            at = (rng.choice((0.02, 0.82)) * columns, (0.02 + 0.035 * line) * rows)
            pen.text(at, str(rng.choice(_PRINT)), fill=int(rng.integers(140, 230)), font=ImageFont.load_default(size))
    grey = np.maximum(grey, np.asarray(layer, dtype=np.float32) / 255)
    if rng.random() < 0.2:
        border = np.zeros((rows, columns), bool)
        for axis in rng.choice(4, size=rng.integers(1, 4), replace=False):
            cut = int(rng.uniform(0.005, 0.035) * (rows if axis < 2 else columns))
            edge = (slice(0, cut), slice(None)) if axis % 2 == 0 else (slice(-cut or None, None), slice(None))
            if cut:
                border[edge if axis < 2 else edge[::-1]] = True
        grey = np.where(border, np.float32(rng.uniform(0.0, 0.08)), grey)
    return grey.astype(np.float32)
