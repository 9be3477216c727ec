"""The anomaly map that a net gives by itself, where nothing is reconstructed."""

from torch import Tensor

from pneumo_ad.nets.output import Output
from pneumo_ad.scores.score import Score


class Judgement(Score):
    """The net's own anomaly map, in the net's unit.

    >>> import torch
    >>> x = torch.zeros(1, 1, 4, 4)
    >>> Judgement().score(x, Output(x, anomaly=x + 2)).item()
    2.0
    """

    unit = "the net's own"

    def residual_map(self, x: Tensor, output: Output) -> Tensor:
        """(B, 1, p, p) as the net gave it.

        Raises:
            ConfigError: The net gives none.
        """
        return output.needed("anomaly", by="score=judgement")
