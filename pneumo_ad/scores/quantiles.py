"""Quantiles of a part of each radiograph's values, of fixed shape, so that a graph holds them as they are."""

from __future__ import annotations

import torch
from torch import Tensor


def quantiles_within(values: Tensor, inside: Tensor, *shares: float) -> Tensor:
    """Quantiles of each row's values inside, interpolated linearly as `numpy.quantile` does.

    Args:
        values: (B, N) floating point.
        inside: (B, N) bool.
        *shares: Q shares in [0, 1].

    Returns:
        (B, Q) float64; NaN or infinite for a row with nothing inside.

    >>> quantiles_within(torch.tensor([[1.0, 3.0, 9.0]]), torch.tensor([[True, True, False]]), 0.0, 0.5).tolist()
    [[1.0, 2.0]]
    """
    ordered = torch.where(inside, values, torch.inf).sort(dim=1).values
    last = (inside.sum(dim=1, keepdim=True) - 1).clamp_min(0)
    # A tensor: a bare number becomes float32 on its way to ONNX, and three tenths of ten then four.
    position = last * torch.tensor([shares], dtype=torch.float64, device=values.device)
    below = position.floor().long()
    low, high = (ordered.gather(1, at).double() for at in (below, torch.minimum(below + 1, last)))
    share, step = position - below, high - low
    return torch.where(share < 0.5, low + step * share, high - step * (1 - share))  # exact at both ends


def own_scale(scores: Tensor, counted: Tensor, share: float) -> Tensor:
    """Quantile of each radiograph's own scores, by which they are divided; at least 1e-6.

    Args:
        scores: (B, N) of windows.
        counted: (B, N) bool: which are measured; of a radiograph with none, all are.
        share: Share of the quantile, in (0, 1].

    Returns:
        (B, 1) float32.
    """
    counted = counted | ~counted.any(dim=1, keepdim=True)
    return quantiles_within(scores, counted, share).float().clamp_min(1e-6)
