"""Resizing of radiographs to `image_size`, and of maps back to the size of the radiograph."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from pneumo_ad.errors import ConfigError
from pneumo_ad.patches.placement import Placement

Fit = Literal["squash", "pad"]
Pixel = TypeVar("Pixel", np.float32, np.uint8)


def sides(image_size: int | Sequence[int], least: int = 1) -> tuple[int, int]:
    """Return height and width in pixels, given one side or both.

    Args:
        image_size: One side, or height and width, in pixels.
        least: Least side in pixels.

    Raises:
        ConfigError: Not one or two whole numbers of at least `least`.

    >>> sides(256), sides([420, 320])
    ((256, 256), (420, 320))
    """
    both = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
    if len(both) != 2 or not all(isinstance(side, Integral) and side >= least for side in both):
        raise ConfigError(f"image_size={image_size} must be one side or height and width in pixels, at least {least}")
    return int(both[0]), int(both[1])


def place(size: tuple[int, int], image_size: tuple[int, int], fit: Fit) -> Placement:
    """Compute the placement of an image of `size` (height, width) within `image_size`.

    `squash` stretches both sides to fit (as the paper does); `pad` keeps the aspect ratio and centres.

    Raises:
        ConfigError: An unknown `fit`.

    >>> place((100, 200), (256, 256), "pad")
    Placement(top=64, left=0, height=128, width=256)
    """
    if fit == "squash":
        return Placement(0, 0, *image_size)
    if fit != "pad":
        raise ConfigError(f"fit={fit!r} is not known; expected 'squash' or 'pad'")
    scale = min(image_size[0] / size[0], image_size[1] / size[1])
    height, width = (max(1, min(limit, round(side * scale))) for side, limit in zip(size, image_size, strict=True))
    return Placement((image_size[0] - height) // 2, (image_size[1] - width) // 2, height, width)


def fit_image(
    pixels: npt.NDArray[np.float32] | npt.NDArray[np.uint8] | Image.Image, image_size: tuple[int, int], fit: Fit
) -> tuple[npt.NDArray[np.uint8], Placement]:
    """Resize with antialiasing (bilinear) to 8 bit; padding is black.

    Args:
        pixels: (H, W), float32 in [0, 1] or uint8; or Pillow's image of them (`displayed`).
        image_size: Height and width of the result in pixels.
        fit: See `place`.

    Returns:
        Grey levels, (image_size) uint8, and the placement of the radiograph in them.
    """
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    placement = place((image.height, image.width), image_size, fit)
    resized = np.asarray(image.resize((placement.width, placement.height), Image.Resampling.BILINEAR))
    if image.mode == "F":  # resized at full depth, rounded once
        resized = np.rint(np.clip(resized, 0, 1) * 255).astype(np.uint8)
    if fit == "squash":
        return resized, placement
    canvas = np.zeros(image_size, dtype=np.uint8)
    placement.inner(canvas)[:] = resized
    return canvas, placement


def fit_mask(mask: npt.NDArray[np.bool_], image_size: tuple[int, int], fit: Fit) -> npt.NDArray[np.uint8]:
    """Resize a mask to (image_size) uint8 of 0 and 1; a pixel is set where the mask covers at least half of it.

    Args:
        mask: (H, W) bool, at the size of the radiograph's file.
        image_size: Height and width of fitted radiographs in pixels.
        fit: See `place`.
    """
    return (fit_image(mask.view(np.uint8) * np.uint8(255), image_size, fit)[0] >= 128).astype(np.uint8)


def unfit_map(fitted: npt.NDArray[Pixel], placement: Placement, size: tuple[int, int]) -> npt.NDArray[Pixel]:
    """Resize a map to the pixels of the radiograph's file, without its padding (nearest neighbour: NaN stays NaN).

    Args:
        fitted: (H, W) map in fitted pixels, float32, or uint8 of labels.
        placement: Placement that `fit_image` returned.
        size: Height and width of the radiograph's file in pixels.

    >>> unfit_map(np.ones((4, 4), dtype=np.float32), place((4, 8), (4, 4), "pad"), (4, 8)).shape
    (4, 8)
    """
    inner = Image.fromarray(placement.inner(fitted))
    return np.asarray(inner.resize((size[1], size[0]), Image.Resampling.NEAREST))
