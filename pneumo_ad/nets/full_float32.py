"""float32 that is float32 on CUDA."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def full_float32() -> Iterator[None]:
    """Keep the convolutions of CUDA from rounding float32 to TF32, which PyTorch allows by default.

    TF32 has 10 bits of mantissa instead of 23: scores differ from those of a CPU, or of an exported model, by about
    1e-3 of their size. Training is left as it is.
    """
    allowed = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = allowed
