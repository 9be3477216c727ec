"""No corruption: the net sees what it must return, as in the paper. Also what every corruption offers."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class Corruption(Protocol):
    """Clean patches (B, 1, p, p) in [0, 1] in, the net's training input of the same shape out."""

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """All randomness comes from the generator."""


class NoCorruption:
    """Returns its input."""

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """(B, 1, p, p), the same tensor."""
        return x
