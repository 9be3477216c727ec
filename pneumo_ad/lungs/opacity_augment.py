"""Augmentation with synthetic opacities, which teaches the segmenter that an opaque lung is still lung."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
import albumentations as A

from pneumo_ad.data.phantom import add_opacity

Array = npt.NDArray[np.float32]


class OpacityAugment(A.ImageOnlyTransform):
    """Albumentations transform that draws opacities inside the lung mask; the mask is not changed.

    Args:
        times: Largest number of opacities, drawn one over the other.
        white_out: Share in [0, 1] of opacities drawn by `white_out`; the others are those of the phantoms.
        p: Probability that any is drawn.
    """

    def __init__(self, times: int = 2, white_out: float = 0.4, p: float = 0.5) -> None:
        super().__init__(p=p)
        self.times = times
        self.white_out = white_out

    @property
    def targets_as_params(self) -> list[str]:
        """Targets that the parameters depend on: the lung mask."""
        return ["mask"]

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Draw the opacities: `difference`, to be added to the image, (H, W) float32 in [-1, 1]."""
        image, lung = data["image"].astype(np.float32) / 255, data["mask"].astype(bool)
        rng, drawn = self.random_generator, image
        for _ in range(int(rng.integers(1, self.times + 1))):
            white = rng.random() < self.white_out
            drawn = white_out(drawn, lung, rng) if white else add_opacity(drawn, lung, rng)[0]
        return {"difference": drawn - image}

    def apply(self, img: npt.NDArray[np.uint8], difference: Array, **_: Any) -> npt.NDArray[np.uint8]:
        """Return the image with the opacities, (H, W) uint8."""
        return np.rint(np.clip(img.astype(np.float32) + 255 * difference, 0, 255)).astype(np.uint8)

    def get_transform_init_args_names(self) -> tuple[str, ...]:
        """Return the names of the arguments that albumentations shows."""
        return ("times", "white_out")


def white_out(radiograph: Array, lung: npt.NDArray[np.bool_], rng: np.random.Generator) -> Array:
    """Draw a part of the lungs nearly as bright as the surrounding tissue, so that their border vanishes.

    It imitates a pleural effusion, a collapse or an opaque lung: one lung or both, on one side of a soft, wavy line in
    any direction. The opacity extends a little beyond the lung's border, as no border is visible between an opaque lung
    and the tissue beside it.

    Args:
        radiograph: (H, W) float32 in [0, 1], bright where dense.
        lung: (H, W) bool lung field.
        rng: Random generator.

    Returns:
        (H, W) float32 in [0, 1]; the radiograph itself if the lung field is empty.
    """
    pieces, count = ndimage.label(lung)
    if not count:
        return radiograph
    chosen = lung if rng.random() < 0.4 else pieces == rng.integers(1, count + 1)
    rows, columns = np.nonzero(chosen)
    side = float(np.sqrt(lung.size))
    # Distance of each pixel beyond the line, in standard deviations of the chosen lung about its centre.
    y, x = np.ogrid[: lung.shape[0], : lung.shape[1]]
    angle = rng.uniform(0, 2 * np.pi)
    down, right = (y - rows.mean()) / (rows.std() + 1), (x - columns.mean()) / (columns.std() + 1)
    along = np.sin(angle) * down + np.cos(angle) * right
    wave = ndimage.gaussian_filter(rng.standard_normal(lung.shape), rng.uniform(0.03, 0.1) * side)
    along = along + 0.6 * wave / wave.std() - rng.uniform(-2.5, 0.7)
    veil = 1 / (1 + np.exp(-np.clip(along / rng.uniform(0.1, 0.5), -30, 30)))
    over = ndimage.binary_dilation(chosen, np.ones((3, 3))).astype(np.float32)
    over = ndimage.gaussian_filter(over, rng.uniform(0.005, 0.03) * side)
    share = rng.uniform(0.5, 0.97) * veil * over
    around = ndimage.binary_dilation(lung, iterations=max(1, round(0.06 * side))) & ~lung
    tissue = np.quantile(radiograph[around] if around.any() else radiograph, rng.uniform(0.4, 0.95))
    return np.clip(radiograph + share * (tissue - radiograph), 0, 1).astype(np.float32)
