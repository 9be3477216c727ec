"""Augmentation of whole radiographs with albumentations, before patches are cut."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

# Without this, albumentations checks for updates over the network at import.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
import albumentations as A


class Augment:
    """Albumentations transforms of a radiograph and its lung field.

    Args:
        transforms: Albumentations transforms, applied in order, each with its own probability.

    >>> augment = Augment([A.HorizontalFlip(p=1.0)])
    >>> image = np.arange(4, dtype=np.uint8).reshape(2, 2)
    >>> augment(image, image % 2, seed=0)[0].tolist()
    [[1, 0], [3, 2]]
    """

    def __init__(self, transforms: Sequence[A.BasicTransform]) -> None:
        self._compose = A.Compose(list(transforms))

    def __call__(
        self, image: npt.NDArray[np.uint8], lung: npt.NDArray[np.uint8], seed: int
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """Transform a (H, W) uint8 image and its mask of 0 and 1; equal seeds give equal results."""
        self._compose.set_random_seed(seed)
        result = self._compose(image=image, mask=np.ascontiguousarray(lung))
        return result["image"], result["mask"]

    def all(
        self, images: npt.NDArray[np.uint8], lungs: npt.NDArray[np.uint8], seeds: Iterable[int]
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """Return augmented copies of radiographs and their lung fields, each (N, H, W) uint8.

        Args:
            images: (N, H, W) uint8 grey levels.
            lungs: (N, H, W) uint8 lung fields of 0 and 1.
            seeds: Seed of each radiograph.
        """
        pairs = [self(*item[:2], seed=int(item[2])) for item in zip(images, lungs, seeds, strict=True)]
        return np.stack([pair[0] for pair in pairs]), np.stack([pair[1] for pair in pairs])
