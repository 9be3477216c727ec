"""Where the lungs are in every radiograph of a store: from mask files, from the segmenter, or everywhere."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pneumo_ad.data.store.cached_array import cached_array
from pneumo_ad.data.store.store import Store
from pneumo_ad.errors import DataError
from pneumo_ad.lungs.segmenter import WEIGHTS, LungSegmenter
from pneumo_ad.saved import file_digest

_VERSION = 1  # raise it, and that of `runs.calibration`, when `clean_field` or LEAST_CONTRAST change


class FileFields:
    """Lung fields from the source's mask files.

    Raises:
        DataError: A radiograph without a lung mask; says how many and which to use instead.
    """

    def __init__(self) -> None:
        self.segmenter = SegmenterFields()

    def __call__(self, store: Store) -> npt.NDArray[np.uint8]:
        """(N, H, W) of 0 and 1."""
        missing = store.table.loc[~store.table["has_lung"], "image"]
        if len(missing):
            raise DataError(
                f"lungs=files needs a lung mask for every radiograph; {len(missing)} of {len(store)} have none, for "
                f"example {missing.iloc[0]}. lungs=auto takes the segmenter for those, lungs=segmenter for all"
            )
        return store.lung

    def of_images(self, images: npt.NDArray[np.uint8], content: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """(N, H, W) of 0 and 1, see `LungFields`: there are no files, so the segmenter that ships finds them."""
        return self.segmenter.of_images(images, content)


class SegmenterFields:
    """Lung fields from the trained segmenter, computed once and kept beside the store.

    Args:
        weights: A safetensors file written by `pneumo-ad train-lungs`; default: the one that ships.
        batch_size: Radiographs segmented at once.
    """

    def __init__(self, weights: str | Path | None = None, batch_size: int = 16) -> None:
        self.weights = Path(weights).expanduser() if weights is not None else WEIGHTS
        self.batch_size = batch_size

    def __call__(self, store: Store) -> npt.NDArray[np.uint8]:
        """(N, H, W) of 0 and 1."""
        return cached_array(store, self.name, lambda: self._segmenter.segment_each(store.images, self.batch_size))

    @property
    def name(self) -> str:
        """Of what is kept beside a store.

        Raises:
            DataError: The weights are missing.
        """
        if not self.weights.is_file():
            raise DataError(f"{self.weights}: no such file; expected weights written by `pneumo-ad train-lungs`")
        return f"lungs-{file_digest(self.weights)[:12]}-{_VERSION}"

    def of_images(self, images: npt.NDArray[np.uint8], content: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """(N, H, W) of 0 and 1, see `LungFields`."""
        return self._segmenter.segment_all(images, self.batch_size, progress=False)

    @cached_property
    def _segmenter(self) -> LungSegmenter:
        return LungSegmenter.from_file(self.weights)


class AutoFields:
    """Mask files where the source has them, the segmenter for the rest.

    Args:
        weights: See `SegmenterFields`.
        batch_size: See `SegmenterFields`.
    """

    def __init__(self, weights: str | Path | None = None, batch_size: int = 16) -> None:
        self.segmenter = SegmenterFields(weights, batch_size)

    def __call__(self, store: Store) -> npt.NDArray[np.uint8]:
        """(N, H, W) of 0 and 1."""
        has_lung = store.table["has_lung"].to_numpy(dtype=bool)
        if has_lung.all():
            return store.lung
        fields = self.segmenter(store)
        if not has_lung.any():
            return fields
        each = zip(has_lung, store.lung, fields, strict=True)
        return cached_array(store, f"{self.segmenter.name}-or-files", lambda: (a if told else b for told, a, b in each))

    def of_images(self, images: npt.NDArray[np.uint8], content: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """(N, H, W) of 0 and 1, see `LungFields`."""
        return self.segmenter.of_images(images, content)
