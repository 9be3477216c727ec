"""Interface of corruptions, and no corruption: input and target are the same, as in the paper."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class Corruption(Protocol):
    """Function from clean patches, (B, 1, p, p) in [0, 1], to the net's training input of the same shape."""

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Corrupt patches; the generator is the only source of randomness."""


class NoCorruption:
    """Identity: input and target are the same."""

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return the patches, (B, 1, p, p), unchanged and uncopied."""
        return x
