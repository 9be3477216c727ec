"""Opacities drawn into real radiographs, so that the segmenter learns that an opaque lung is still lung."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
import albumentations as A  # noqa: E402

from pneumo_ad.data.phantom import add_opacity  # noqa: E402


class DrawnOpacity(A.ImageOnlyTransform):
    """Albumentations transform that draws an opacity inside the lung mask; the mask stays as it is.

    Args:
        times: At most so many opacities, one upon the other.
        p: Probability.
    """

    def __init__(self, times: int = 2, p: float = 0.5) -> None:
        super().__init__(p=p)
        self.times = times

    @property
    def targets_as_params(self) -> list[str]:
        """The mask tells where the lungs are."""
        return ["mask"]

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Draw: returns what is to be added to the image, in [-1, 1]."""
        image = data["image"].astype(np.float32) / 255
        drawn, lung = image, data["mask"].astype(bool)
        for _ in range(int(self.random_generator.integers(1, self.times + 1))):
            drawn, _ = add_opacity(drawn, lung, self.random_generator)
        return {"difference": drawn - image}

    def apply(self, img: npt.NDArray[np.uint8], difference: npt.NDArray[np.float32], **_: Any) -> npt.NDArray[np.uint8]:
        """(H, W) uint8 with the opacities."""
        return np.rint(np.clip(img.astype(np.float32) + 255 * difference, 0, 255)).astype(np.uint8)

    def get_transform_init_args_names(self) -> tuple[str, ...]:
        """Names that albumentations shows."""
        return ("times",)
