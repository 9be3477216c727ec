"""Proportions of radiographs that were fitted to the size of a net: drawn as their files are, without padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes

from pneumo_ad.patches.placement import Placement


@dataclass(frozen=True)
class Proportions:
    """Part and proportions of a fitted image at which its radiograph is drawn.

    Attributes:
        placement: Rectangle of the radiograph in the fitted image; the rest is padding, which is not drawn.
        ratio: Height over width of the radiograph's file.
    """

    placement: Placement
    ratio: float

    @classmethod
    def of_rows(cls, table: pd.DataFrame) -> list[Proportions]:
        """Return the proportions of each row of a store's table.

        Args:
            table: Table with `height` and `width` of the file, and the columns of `Placement.of_rows`.
        """
        ratios = (table["height"] / table["width"]).tolist()
        return [cls(*both) for both in zip(Placement.of_rows(table), ratios, strict=True)]

    @classmethod
    def as_seen(cls, images: Sequence[npt.NDArray[np.generic]]) -> list[Proportions]:
        """Return the proportions of (H, W) images with square pixels and without padding."""
        return [cls(Placement(0, 0, *image.shape[:2]), image.shape[0] / image.shape[1]) for image in images]

    @property
    def squeezed(self) -> bool:
        """Whether pixels of the fitted image are not square on the radiograph, by more than rounding."""
        return abs(self.pixel - 1) > 0.02

    @property
    def pixel(self) -> float:
        """Height over width of a fitted pixel, as the radiograph is drawn."""
        return self.ratio * self.placement.width / self.placement.height

    def apply(self, axis: Axes) -> None:
        """Show the radiograph alone, in its own proportions, on axes that show the fitted image.

        Args:
            axis: Axes with the fitted image, drawn by `imshow` at its pixels.
        """
        inner = self.placement
        axis.set(
            xlim=(inner.left - 0.5, inner.left + inner.width - 0.5),
            ylim=(inner.top + inner.height - 0.5, inner.top - 0.5),
            aspect=self.pixel,
        )
