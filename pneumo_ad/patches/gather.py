"""Cutting of patches from radiographs in memory or memory-mapped."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pneumo_ad.patches.halo import mirrored


def gather(
    images: npt.NDArray[np.uint8], where: npt.NDArray[np.int64], patch: int, halo: int = 0
) -> npt.NDArray[np.uint8]:
    """Cut one patch per row of `where` in a vectorised read.

    Args:
        images: (I, H, W) uint8 grey levels, may be memory-mapped.
        where: (M, 3) image number, top and left pixel of each patch.
        patch: Side of the patches in pixels.
        halo: Pixels of surroundings on every side; the image is mirrored beyond its border.

    Returns:
        (M, 1, p + 2 halo, p + 2 halo) patches, a copy.

    >>> gather(np.arange(9, dtype=np.uint8).reshape(1, 3, 3), np.array([[0, 0, 1]]), patch=1, halo=1)[0, 0].tolist()
    [[3, 4, 5], [0, 1, 2], [3, 4, 5]]
    """
    side = patch + 2 * halo
    image, top, left = where[:, 0], where[:, 1] - halo, where[:, 2] - halo
    height, width = images.shape[1:]
    if not halo:
        return _cut(images, image, top, left, side)
    inside = (top >= 0) & (top + side <= height) & (left >= 0) & (left + side <= width)
    if len(where) and inside.all():
        return _cut(images, image, top, left, side)
    cut = np.empty((len(where), 1, side, side), dtype=images.dtype)
    if inside.any():
        cut[inside] = _cut(images, image[inside], top[inside], left[inside], side)
    rows, columns = (
        mirrored(first[~inside, None] + np.arange(side), length)
        for first, length in zip((top, left), images.shape[1:], strict=True)
    )
    cut[~inside, 0] = images[image[~inside, None, None], rows[:, :, None], columns[:, None, :]]
    return cut


def _cut(
    images: npt.NDArray[np.uint8],
    image: npt.NDArray[np.int64],
    top: npt.NDArray[np.int64],
    left: npt.NDArray[np.int64],
    side: int,
) -> npt.NDArray[np.uint8]:
    """Cut windows that lie inside the images, (M, 1, side, side)."""
    images = images if images.strides[2] == images.itemsize else np.ascontiguousarray(images)
    # Indexing a strided view of all windows copies the requested ones only; a row of a window as one item is twice as
    # fast as pixel by pixel.
    rows = images[:, :, :side].view(np.dtype((np.void, side * images.itemsize)))
    count, height, width = images.shape
    shape = (count, height - side + 1, width - side + 1, side)
    windows = np.lib.stride_tricks.as_strided(rows, shape, (*images.strides, images.strides[1]))
    return windows[image, top, left].view(images.dtype).reshape(len(image), 1, side, side)
