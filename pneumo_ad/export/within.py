"""Statistics of a part of each radiograph's values, of fixed shape: what a graph can hold.

They repeat, number for number, what `aggregates`, `data.intensity` and `evaluation.examination` do with numpy.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pneumo_ad.errors import ConfigError
from pneumo_ad.scores.aggregates import Aggregate, Highest, Mean, TopFraction


def quantile_within(values: Tensor, inside: Tensor, q: float) -> Tensor:
    """Quantile of each row's values inside, interpolated linearly as `numpy.quantile` does.

    Args:
        values: (B, N) floating point.
        inside: (B, N) bool.
        q: In [0, 1].

    Returns:
        (B, 1) float64; NaN or infinite for a row with nothing inside.

    >>> quantile_within(torch.tensor([[1.0, 3.0, 9.0]]), torch.tensor([[True, True, False]]), 0.5).item()
    2.0
    """
    ordered = torch.where(inside, values.double(), torch.inf).sort(dim=1).values
    last = (inside.sum(dim=1, keepdim=True) - 1).clamp_min(0)
    position = last * _exact(q)
    below = position.floor().long()
    low, high = ordered.gather(1, below), ordered.gather(1, torch.minimum(below + 1, last))
    share = position - below
    step = high - low
    return torch.where(share < 0.5, low + step * share, high - step * (1 - share))  # exact at both ends


def _exact(number: float) -> Tensor:
    """A float64 tensor: a bare number becomes float32 on its way to ONNX, and three tenths of ten then four."""
    return torch.tensor([number], dtype=torch.float64)


def mean_within(values: Tensor, inside: Tensor) -> Tensor:
    """(B, N) values and bool -> (B,) float64 means, NaN for a row with nothing inside."""
    return torch.where(inside, values.double(), 0.0).sum(dim=1) / inside.sum(dim=1)


def top_within(values: Tensor, inside: Tensor, fraction: float) -> Tensor:
    """(B, N) values and bool -> (B,) float64 means of the highest ceil(fraction n) of n; NaN with nothing inside.

    >>> top_within(torch.tensor([[1.0, 2.0, 3.0, 9.0]]), torch.tensor([[True, True, True, False]]), 0.5).item()
    2.5
    """
    ordered = torch.where(inside, values.double(), -torch.inf).sort(dim=1, descending=True).values
    most = (inside.sum(dim=1, keepdim=True) * _exact(fraction) - _exact(1e-9)).ceil()
    rank = torch.arange(values.shape[1], device=values.device)
    return torch.where(rank < most, ordered, 0.0).sum(dim=1) / most[:, 0]


def highest_within(values: Tensor, inside: Tensor) -> Tensor:
    """(B, N) values and bool -> (B,) float64 maxima, NaN for a row with nothing inside."""
    highest = torch.where(inside, values.double(), -torch.inf).amax(dim=1)
    return torch.where(inside.any(dim=1), highest, torch.nan)


def check_aggregate(aggregate: Aggregate) -> None:
    """See that a graph can hold it.

    Raises:
        ConfigError: It cannot; names those that it can.
    """
    if type(aggregate) not in (Mean, TopFraction, Highest):
        raise ConfigError(
            f"{type(aggregate).__name__} cannot be exported in any format: the aggregates a graph can hold are "
            "aggregate=mean, aggregate=top and aggregate=max"
        )


def aggregate_within(aggregate: Aggregate, values: Tensor, inside: Tensor) -> Tensor:
    """`aggregate(values, inside)` in a graph: (B, N) and bool -> (B,) float64; values that are NaN are left out."""
    inside = inside & ~values.isnan()
    if isinstance(aggregate, TopFraction):
        return top_within(values, inside, aggregate.fraction)
    return highest_within(values, inside) if isinstance(aggregate, Highest) else mean_within(values, inside)
