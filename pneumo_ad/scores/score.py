"""What every score offers."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

from pneumo_ad.nets.output import Output


class Score(ABC):
    """Turns an input and its reconstruction into a residual map and one number per patch; higher is more anomalous."""

    unit: str

    @abstractmethod
    def residual_map(self, x: Tensor, output: Output) -> Tensor:
        """(B, 1, p, p) in [0, 1] and `Output` -> (B, 1, p, p)."""

    def score(self, x: Tensor, output: Output) -> Tensor:
        """(B,) one number per patch; the mean of the residual map unless a score says otherwise."""
        return self.residual_map(x, output).mean(dim=(1, 2, 3))
