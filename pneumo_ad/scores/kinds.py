"""Scores of nets that classify pixels as one of the three kinds."""

from torch import Tensor

from pneumo_ad.errors import ConfigError
from pneumo_ad.labels import HEALTHY, OPACITY, OUTSIDE
from pneumo_ad.nets.output import Output
from pneumo_ad.scores.score import Score

_LEAST = 1e-6  # lower bound on a divisor


class OpacityChance(Score):
    """Probability of opacity, in [0, 1], with a share of the probability of outside reassigned to lung.

    A white lung resembles the tissue around it. With `outside=0`, pixels classified as outside score as low as healthy
    lung; with 1 their probability is divided between opacity and healthy lung in proportion to these two.

    Args:
        outside: Share in [0, 1] of the probability of outside that is reassigned to lung.

    Raises:
        ConfigError: `outside` outside [0, 1].

    >>> import torch
    >>> x = torch.zeros(1, 1, 2, 2)
    >>> output = Output(x, kinds=torch.tensor([0.1, 0.3, 0.6])[None, :, None, None] + x)
    >>> [round(OpacityChance(outside).score(x, output).item(), 3) for outside in (0.0, 0.5, 1.0)]
    [0.3, 0.525, 0.75]
    """

    unit = "out of 1"  # of a net that saw drawings: no probability of disease
    orders_outside = False  # regions outside score no higher than opacity
    highest = 1.0

    def __init__(self, outside: float = 0.0) -> None:
        if not 0 <= outside <= 1:
            raise ConfigError(f"score.outside={outside}: expected a share, from 0 to 1")
        self.outside = outside

    def residual_map(self, x: Tensor, output: Output) -> Tensor:
        """Compute the probability per pixel, (B, 1, p, p) in [0, 1].

        Raises:
            ConfigError: Net that does not predict kinds.
        """
        kinds = output.needed("kinds", by="score=opacity_in_lung" if self.outside else "score=opacity_chance")
        opacity, healthy, outside = (kinds[:, kind, None] for kind in (OPACITY, HEALTHY, OUTSIDE))
        return opacity + self.outside * outside * opacity / (opacity + healthy).clamp(min=_LEAST)


class ExpectedKind(Score):
    """Expected value of the kind, in [0, 2]: healthy lung 0, opacity 1, outside the lung 2, as in the paper's Table 1.

    >>> import torch
    >>> x = torch.zeros(1, 1, 2, 2)
    >>> ExpectedKind().score(x, Output(x, kinds=torch.tensor([0.5, 0.25, 0.25])[None, :, None, None] + x)).item()
    0.75
    """

    unit = "expected kind, 0 to 2"
    highest = 2.0

    def residual_map(self, x: Tensor, output: Output) -> Tensor:
        """Compute the expected kind per pixel, (B, 1, p, p) in [0, 2].

        Raises:
            ConfigError: Net that does not predict kinds.
        """
        kinds = output.needed("kinds", by="score=expected_kind")
        return sum((kind * kinds[:, kind, None] for kind in (OPACITY, OUTSIDE)), HEALTHY * kinds[:, HEALTHY, None])
