"""Scores of nets that tell the three kinds of patch apart."""

from torch import Tensor

from pneumo_ad.labels import HEALTHY, OPACITY, OUTSIDE
from pneumo_ad.nets.output import Output
from pneumo_ad.scores.score import Score

_LEAST = 1e-6  # chance: where both are nothing, neither is the likelier


class OpacityChance(Score):
    """Chance of opacity, in [0, 1]: finds opacities, and takes what lies outside the lung for as harmless as lung.

    >>> import torch
    >>> x = torch.zeros(1, 1, 2, 2)
    >>> OpacityChance().score(x, Output(x, kinds=torch.tensor([0.5, 0.25, 0.25])[None, :, None, None] + x)).item()
    0.25
    """

    unit = "chance of opacity"
    orders_outside = False  # outside has as little chance of it as healthy lung
    highest = 1.0

    def residual_map(self, x: Tensor, output: Output) -> Tensor:
        """(B, 1, p, p) in [0, 1].

        Raises:
            ConfigError: The net does not tell kinds apart.
        """
        return output.needed_kinds(by="score=opacity_chance")[:, OPACITY, None]


class OpacityInLung(Score):
    """Chance of opacity where there is lung, in [0, 1]: opacity's share of the chances of opacity and healthy lung.

    A white lung that looks much like what lies about it is opacity all the same. Outside the lung it says nothing.

    >>> import torch
    >>> x = torch.zeros(1, 1, 2, 2)
    >>> kinds = torch.tensor([0.1, 0.3, 0.6])[None, :, None, None] + x
    >>> round(OpacityInLung().score(x, Output(x, kinds=kinds)).item(), 3)
    0.75
    """

    unit = "chance of opacity, where there is lung"
    orders_outside = False
    highest = 1.0

    def residual_map(self, x: Tensor, output: Output) -> Tensor:
        """(B, 1, p, p) in [0, 1]; 0.5 where the net is sure to be outside.

        Raises:
            ConfigError: The net does not tell kinds apart.
        """
        kinds = output.needed_kinds(by="score=opacity_in_lung") + _LEAST
        return (kinds[:, OPACITY] / (kinds[:, OPACITY] + kinds[:, HEALTHY]))[:, None]


class ExpectedKind(Score):
    """Expected kind, in [0, 2]: healthy lung is 0, opacity 1, outside the lung 2, the order of the paper's Table 1.

    >>> import torch
    >>> x = torch.zeros(1, 1, 2, 2)
    >>> ExpectedKind().score(x, Output(x, kinds=torch.tensor([0.5, 0.25, 0.25])[None, :, None, None] + x)).item()
    0.75
    """

    unit = "expected kind, 0 to 2"
    highest = 2.0

    def residual_map(self, x: Tensor, output: Output) -> Tensor:
        """(B, 1, p, p) in [0, 2].

        Raises:
            ConfigError: The net does not tell kinds apart.
        """
        kinds = output.needed_kinds(by="score=expected_kind")
        return sum((kind * kinds[:, kind, None] for kind in (OPACITY, OUTSIDE)), HEALTHY * kinds[:, HEALTHY, None])
