"""Base class of scores."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor

from pneumo_ad.nets.output import Output
from pneumo_ad.patches.box_sums import Boxes


class Term(NamedTuple):
    """Term added to the residual of every window: `picture` at the pixel, times the window's own `weight`.

    Attributes:
        picture: (B, h, w) values at the pixels of whole pictures.
        boxes: The windows, or the part of each that this is added to.
        weight: (B, R, C) weight of each window; None is 1.
    """

    picture: Tensor
    boxes: Boxes
    weight: Tensor | None = None

    def sums(self) -> Tensor:
        """(B, R, C) float64 sum of what is added, over the pixels of each window."""
        sums = self.boxes.sums(self.picture.double())
        return sums if self.weight is None else sums * self.weight

    def total(self) -> Tensor:
        """(B, h, w) float64 sum of what is added, over the windows that cover each pixel."""
        rows, columns = len(self.boxes.tops), len(self.boxes.lefts)
        weight = self.picture.new_ones(1, rows, columns) if self.weight is None else self.weight
        height, width = self.picture.shape[1:]
        return self.picture * self.boxes.paint(weight.double(), (height, width))


class Score(ABC):
    """Turns an input and its reconstruction into a residual map and one number per patch; higher is more anomalous.

    Attributes:
        unit: Unit of the number per patch, for example `grey levels per pixel`.
        orders_outside: Whether what lies outside the lung scores above an opacity, as an opacity does above healthy
            lung: the assumption by which two thresholds part three kinds of patch (the paper's Table 1). Where a score
            says no, one threshold tells opacity from the rest.
        highest: Upper bound of the score: 1 for a probability; infinite where nothing bounds it.
    """

    unit: str
    orders_outside: bool = True
    highest: float = math.inf

    @abstractmethod
    def residual_map(self, x: Tensor, output: Output) -> Tensor:
        """(B, 1, p, p) in [0, 1] and `Output` -> (B, 1, p, p)."""

    def score(self, x: Tensor, output: Output) -> Tensor:
        """(B,) one number per patch; the mean of the residual map unless a score says otherwise."""
        return self.residual_map(x, output).mean(dim=(1, 2, 3))

    def terms(self, x: Tensor, output: Output, windows: Boxes) -> list[Term]:
        """The residual maps of all windows of whole pictures, as a sum of few pictures that windows share.

        A score whose residual at a pixel depends on the rest of its patch says here how; the others need not.

        Args:
            x: (B, 1, h, w) in [0, 1].
            output: Output of the net for the same pictures.
            windows: Windows of each picture.
        """
        return [Term(self.residual_map(x, output)[:, 0], windows)]

    def over_windows(self, terms: list[Term], windows: Boxes) -> Tensor:
        """(B, R, C) float64 `score` of every window.

        Args:
            terms: Result of `terms`.
            windows: Windows of each picture.
        """
        return sum((term.sums() for term in terms[1:]), terms[0].sums()) / windows.area
