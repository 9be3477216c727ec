"""What every net returns."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Output(NamedTuple):
    """A net's answer to a batch of patches.

    Attributes:
        reconstruction: (B, 1, p, p) in [0, 1].
        log_variance: (B, 1, p, p) predicted log-variance per pixel, for nets that predict their own spread.
        penalty: Scalar that the net wants added to the loss (a prior, sparsity), mean per patch.
    """

    reconstruction: Tensor
    log_variance: Tensor | None = None
    penalty: Tensor | None = None
