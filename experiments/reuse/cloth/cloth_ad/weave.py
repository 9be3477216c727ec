"""Cloth drawn by code: a plain weave, and faults in it whose place is known."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def draw_cloth(
    rng: np.random.Generator, size: int, faulty: bool
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """One photograph of cloth.

    In a plain weave, warp and weft take turns on top. A fault is a spot where they do so in pairs: the threads, and so
    the mean brightness, are those of the rest.

    Args:
        rng: Draws threads, light and faults.
        size: Side in pixels.
        faulty: Whether it has faults, one to three.

    Returns:
        (size, size) picture, and mask of the faults.
    """
    y, x = np.mgrid[0:size, 0:size].astype(np.float64)
    fault = np.zeros((size, size), dtype=bool)
    for _ in range(rng.integers(1, 4) if faulty else 0):
        (cy, cx), (ry, rx) = rng.uniform(0.15, 0.85, 2) * size, rng.uniform(0.07, 0.14, 2) * size
        fault |= ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1
    pitch = rng.uniform(5.5, 6.5)  # pixels from thread to thread
    swing = rng.uniform(0, 2 * np.pi, 2)  # threads are never quite straight
    across = x / pitch + 0.25 * np.sin(y / 31 + swing[0])
    along = y / pitch + 0.25 * np.sin(x / 37 + swing[1])
    warp, weft = np.floor(across).astype(int), np.floor(along).astype(int)
    turn = np.where(fault, (warp + weft) % 4 < 2, (warp + weft) % 2 == 0)
    dye = rng.normal(0, 0.06, (2, size))  # each thread took the dye a little differently
    position, own = np.where(turn, across % 1, along % 1), np.where(turn, dye[0][warp], dye[1][weft])
    thread = np.sin(np.pi * position) ** 0.5 * (1 + own)
    light = rng.uniform(0.45, 0.75) + (x * rng.normal(0, 0.1) + y * rng.normal(0, 0.1)) / size
    picture = light * (0.35 + 0.65 * thread) + rng.normal(0, 0.02, (size, size))
    return (picture.clip(0, 1) * 255).astype(np.uint8), fault
