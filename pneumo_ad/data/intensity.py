"""Grey levels made comparable between radiographs: exposure is a property of the machine, not of the lung."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pneumo_ad.data.store.cached_array import cached_array
from pneumo_ad.data.store.store import Store
from pneumo_ad.errors import ConfigError
from pneumo_ad.scores.quantiles import quantiles_within

GREYS = (48.0, 144.0)  # where the two quantiles go: room below for air and above for bone and opacities


class Intensity(Protocol):
    """Grey levels made comparable: a store and its lung fields in, (N, H, W) uint8 pictures out."""

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
        """(b, H, W), one at a time by `levels`; see `Intensity.of_images`."""
        parts = (torch.tensor(part).split(1) for part in (images, fields, content))
        return torch.cat([self.levels(*one).to(torch.uint8) for one in zip(*parts, strict=True)]).numpy()

    def levels(self, grey: Tensor, field: Tensor, content: Tensor) -> Tensor:
        """Grey levels of some radiographs; one of a single grey throughout is only shifted.

        Args:
            grey: (b, H, W) whole numbers 0-255.
            field: (b, H, W) of 0 and 1: lung fields.
            content: (b, H, W) of 0 and 1: what is measured of a radiograph without a lung field.

        Returns:
            (b, H, W) float64, whole numbers 0-255.

        >>> grey, field = torch.tensor([[[10, 20, 60]]]), torch.tensor([[[1, 1, 0]]])
        >>> LungFieldIntensity(0.0, 1.0).levels(grey, field, field).tolist()
        [[[48.0, 144.0, 255.0]]]
        """
        found = (field == 1).flatten(1).any(dim=1)[:, None, None]
        inside = torch.where(found, field, content) == 1
        quantiles = quantiles_within(grey.float().flatten(1), inside.flatten(1), self.low, self.high)
        dark, bright = quantiles[:, 0, None, None], quantiles[:, 1, None, None]
        gain = torch.where(bright > dark, (GREYS[1] - GREYS[0]) / (bright - dark), 1.0)
        return ((grey - dark) * gain + GREYS[0]).round().clamp(0, 255)
