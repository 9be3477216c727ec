"""Aggregates: the scores within a lung field as one score per radiograph."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Literal, get_args

import torch
from torch import Tensor

from pneumo_ad.errors import ConfigError

Of = Literal["patches", "pixels", "radiograph"]


class Aggregate(ABC):
    """Turns what lies within the lung field into one score; higher is more anomalous, as the scores are.

    Of torch's operations alone and of fixed shape, so that an exported graph holds it as it is.

    Args:
        of: Values that the caller hands over: the scores of `patches`, the `pixels` of the anomaly map, or the one that
            the net itself gives the `radiograph`.

    Raises:
        ConfigError: None of these.
    """

    def __init__(self, of: Of = "patches") -> None:
        if of not in get_args(Of):
            raise ConfigError(f"of={of!r} is not known: an image's score is made of {', '.join(get_args(Of))}")
        self.of = of

    def __call__(self, values: Tensor, inside: Tensor) -> Tensor:
        """Scores and what lies within the lung field -> one score per radiograph.

        Args:
            values: (I, N) floating point of I radiographs; NaN (pixels that no window covers) is left out.
            inside: (I, N) bool.

        Returns:
            (I,) float64 in the unit of the values; NaN for a radiograph with nothing inside.
        """
        return self.aggregate(values, inside & ~values.isnan())

    @abstractmethod
    def aggregate(self, values: Tensor, inside: Tensor) -> Tensor:
        """The same, when `inside` holds nothing that is NaN.

        Args:
            values: (I, N) of I radiographs.
            inside: (I, N) bool.
        """


class Mean(Aggregate):
    """The mean: every part of the lung field counts alike.

    >>> Mean()(torch.tensor([[1.0, 3.0, 100.0]]), torch.tensor([[True, True, False]])).tolist()
    [2.0]
    """

    def aggregate(self, values: Tensor, inside: Tensor) -> Tensor:
        """(I,) means; see `Aggregate.aggregate`."""
        return torch.where(inside, values, 0.0).sum(dim=1, dtype=torch.float64) / inside.sum(dim=1)


class TopFraction(Aggregate):
    """Mean of the highest fraction, of one score at least: a small opacity is not drowned by healthy lung.

    Args:
        fraction: In (0, 1]; 1 is the mean.
        of: See `Aggregate`.

    Raises:
        ConfigError: A fraction outside (0, 1], or an unknown `of`.

    >>> inside = torch.tensor([[True, True, True, True, False]])
    >>> TopFraction(0.5)(torch.tensor([[1.0, 2.0, 3.0, 4.0, 100.0]]), inside).tolist()
    [3.5]
    """

    def __init__(self, fraction: float = 0.1, of: Of = "patches") -> None:
        super().__init__(of)
        if not 0 < fraction <= 1:
            raise ConfigError(f"fraction={fraction} must lie in (0, 1]; 0.1 is the highest tenth")
        self.fraction = fraction

    def aggregate(self, values: Tensor, inside: Tensor) -> Tensor:
        """(I,) means of the highest ceil(fraction n) of n; see `Aggregate.aggregate`."""
        at_most = max(1, math.ceil(self.fraction * values.shape[1]))
        highest = torch.where(inside, values, -torch.inf).topk(at_most, dim=1).values
        # Tensors: a bare number becomes float32 on its way to ONNX. A tenth of 30 is 3, whatever the last bit.
        fraction, last_bit = torch.tensor([[self.fraction], [1e-9]], dtype=torch.float64, device=values.device)
        most = (inside.sum(dim=1, keepdim=True) * fraction - last_bit).ceil()
        rank = torch.arange(at_most, device=values.device)
        return torch.where(rank < most, highest, 0.0).sum(dim=1, dtype=torch.float64) / most[:, 0]


class Highest(Aggregate):
    """The highest score: one patch is enough.

    >>> Highest()(torch.tensor([[1.0, 3.0, 100.0]]), torch.tensor([[True, True, False]])).tolist()
    [3.0]
    """

    def aggregate(self, values: Tensor, inside: Tensor) -> Tensor:
        """(I,) maxima; see `Aggregate.aggregate`."""
        highest = torch.where(inside, values, -torch.inf).amax(dim=1).double()
        return torch.where(inside.any(dim=1), highest, torch.nan)
