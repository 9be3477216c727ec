"""Lung fields of the radiographs of a store: from mask files, from the segmenter, or from both."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from pneumo_ad.data.store.cached_array import cached_array
from pneumo_ad.data.store.store import Store
from pneumo_ad.errors import DataError
from pneumo_ad.lungs.segmenter import WEIGHTS, LungSegmenter
from pneumo_ad.saved import file_digest

_VERSION = 1  # raise it, and that of `runs.calibration`, when `clean_field` or LEAST_CONTRAST change


class FileFields:
    """Lung fields from the mask files of the data source.

    Raises:
        DataError: A radiograph without a lung mask; gives their number, and other choices of `lungs`.
    """

    def __init__(self) -> None:
        self.segmenter = SegmenterFields()

    def __call__(self, store: Store) -> npt.NDArray[np.uint8]:
        """Return the lung fields of a store, (N, H, W) uint8 of 0 and 1."""
        missing = store.table.loc[~store.table["has_lung"], "image"]
        if len(missing):
            raise DataError(
                f"lungs=files needs a mask for every image in column lung; {len(missing)} of {len(store)} have none, "
                f"for example {missing.iloc[0]}. lungs=auto takes the segmenter for those, lungs=segmenter for all"
            )
        return store.lung

    def of_images(self, images: npt.NDArray[np.uint8], content: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return (N, H, W) uint8 of 0 and 1 from the packaged segmenter, as there are no files; see `LungFields`."""
        return self.segmenter.of_images(images, content)


class SegmenterFields:
    """Lung fields from the trained segmenter, computed once and kept beside the store.

    Args:
        weights: Safetensors file written by `pneumo-ad train-lungs`; default: the packaged weights.
        batch_size: Radiographs segmented at once.

    Attributes:
        device: Gives the device to run on, at first use; None: CUDA if available.
    """

    def __init__(self, weights: str | Path | None = None, batch_size: int = 16) -> None:
        self.weights = Path(weights).expanduser() if weights is not None else WEIGHTS
        self.batch_size = batch_size
        self.device: Callable[[], torch.device] | None = None

    def __call__(self, store: Store) -> npt.NDArray[np.uint8]:
        """Return the lung fields of a store, (N, H, W) uint8 of 0 and 1."""
        return cached_array(
            store,
            self.name,
            lambda: self._segmenter.segment_each(store.images, self.batch_size, device=self._device()),
        )

    @property
    def name(self) -> str:
        """Name of the array that is kept beside a store: digest of the weights, and version.

        Raises:
            DataError: The weights are missing.
        """
        if not self.weights.is_file():
            raise DataError(f"{self.weights}: no such file; expected weights written by `pneumo-ad train-lungs`")
        return f"lungs-{file_digest(self.weights)[:12]}-{_VERSION}"

    def of_images(self, images: npt.NDArray[np.uint8], content: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return (N, H, W) uint8 of 0 and 1 from the segmenter, see `LungFields`."""
        return self._segmenter.segment_all(images, self.batch_size, progress=False, device=self._device())

    def _device(self) -> torch.device | None:
        return self.device and self.device()

    @cached_property
    def _segmenter(self) -> LungSegmenter:
        return LungSegmenter.from_file(self.weights)


class AutoFields:
    """Lung fields from mask files, and from the segmenter for radiographs without one.

    Args:
        weights: See `SegmenterFields`.
        batch_size: See `SegmenterFields`.
    """

    def __init__(self, weights: str | Path | None = None, batch_size: int = 16) -> None:
        self.segmenter = SegmenterFields(weights, batch_size)

    def __call__(self, store: Store) -> npt.NDArray[np.uint8]:
        """Return the lung fields of a store, (N, H, W) uint8 of 0 and 1."""
        has_lung = store.table["has_lung"].to_numpy(dtype=bool)
        if has_lung.all():
            return store.lung
        fields = self.segmenter(store)
        if not has_lung.any():
            return fields
        each = zip(has_lung, store.lung, fields, strict=True)
        return cached_array(store, f"{self.segmenter.name}-or-files", lambda: (a if has else b for has, a, b in each))

    def of_images(self, images: npt.NDArray[np.uint8], content: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return (N, H, W) uint8 of 0 and 1 from the segmenter, see `LungFields`."""
        return self.segmenter.of_images(images, content)
