"""Grey levels made comparable between radiographs: exposure is a property of the machine, not of the lung."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from pneumo_ad.data.store.cached_array import cached_array
from pneumo_ad.data.store.store import Store
from pneumo_ad.errors import ConfigError

GREYS = (48.0, 144.0)  # where the two quantiles go: room below for air and above for bone and opacities


class Intensity(Protocol):
    """What `Radiographs` ask for: a store and its lung fields in, (N, H, W) uint8 pictures out."""

    def __call__(self, store: Store, lung_fields: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """(N, H, W) grey levels."""
        ...

    def of_images(
        self, images: npt.NDArray[np.uint8], fields: npt.NDArray[np.uint8], content: npt.NDArray[np.uint8]
    ) -> npt.NDArray[np.uint8]:
        """(b, H, W) grey levels of radiographs that no store holds.

        Args:
            images: (b, H, W) uint8 grey levels.
            fields: (b, H, W) of 0 and 1: lung fields.
            content: (b, H, W) of 0 and 1: what is radiograph and not padding.
        """
        ...


class AsStored:
    """The grey levels of the store, as the paper has them."""

    def __call__(self, store: Store, lung_fields: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """(N, H, W) grey levels."""
        return store.images

    def of_images(
        self, images: npt.NDArray[np.uint8], fields: npt.NDArray[np.uint8], content: npt.NDArray[np.uint8]
    ) -> npt.NDArray[np.uint8]:
        """(b, H, W), as they are; see `Intensity.of_images`."""
        return images


class LungFieldIntensity:
    """Brings two quantiles of the lung field of every radiograph to the same two grey levels, 48 and 144.

    Linear in between and beyond, cut at 0 and 255; a radiograph without a lung field is measured as a whole. Computed
    once and kept beside the store.

    Args:
        low: Lower quantile.
        high: Upper quantile.

    Raises:
        ConfigError: Quantiles that do not rise within [0, 1].
    """

    def __init__(self, low: float = 0.05, high: float = 0.95) -> None:
        if not 0 <= low < high <= 1:
            raise ConfigError(f"low={low} and high={high} must rise within [0, 1]")
        self.low, self.high = low, high

    def __call__(self, store: Store, lung_fields: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """(N, H, W) grey levels."""
        digest = hashlib.sha256(f"{self.low} {self.high} {GREYS}".encode())
        file = Path(getattr(lung_fields, "filename", ""))
        if file.parent.resolve() == store.folder.resolve():  # its name tells what it holds, see `cached_array`
            digest.update(file.name.encode())
        else:
            digest.update(np.ascontiguousarray(lung_fields).data)

        def compute() -> Iterator[npt.NDArray[np.uint8]]:
            for row in range(len(store)):
                here = slice(row, row + 1)
                yield self.of_images(store.images[here], lung_fields[here], store.content(np.array([row])))[0]

        return cached_array(store, f"intensity-{digest.hexdigest()[:12]}", compute)

    def of_images(
        self, images: npt.NDArray[np.uint8], fields: npt.NDArray[np.uint8], content: npt.NDArray[np.uint8]
    ) -> npt.NDArray[np.uint8]:
        """(b, H, W), each by `normalise`; see `Intensity.of_images`."""
        made = [
            normalise(image, field if field.any() else inside, self.low, self.high)
            for image, field, inside in zip(images, fields, content, strict=True)
        ]
        return np.stack(made)


def normalise(
    image: npt.NDArray[np.uint8], inside: npt.NDArray[np.uint8], low: float, high: float
) -> npt.NDArray[np.uint8]:
    """One radiograph, (H, W), by the quantiles of its pixels `inside`; of one grey throughout, it is only shifted.

    Args:
        image: (H, W) uint8 grey levels.
        inside: (H, W) of 0 and 1, where grey levels are measured.
        low: Share of the lower quantile.
        high: Share of the upper quantile.

    >>> image = np.array([[10, 20, 60]], dtype=np.uint8)
    >>> normalise(image, np.array([[1, 1, 0]]), 0.0, 1.0)
    array([[ 48, 144, 255]], dtype=uint8)
    """
    dark, bright = np.quantile(image[inside == 1], [low, high])
    gain = (GREYS[1] - GREYS[0]) / (bright - dark) if bright > dark else 1.0
    return np.clip(np.rint((image - dark) * gain + GREYS[0]), 0, 255).astype(np.uint8)
