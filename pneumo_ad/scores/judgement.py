"""Anomaly map of nets that do not reconstruct, as a score."""

from torch import Tensor

from pneumo_ad.nets.output import Output
from pneumo_ad.scores.score import Score


class Judgement(Score):
    """Anomaly map of the net, in its own unit.

    >>> import torch
    >>> x = torch.zeros(1, 1, 4, 4)
    >>> Judgement().score(x, Output(x, anomaly=x + 2)).item()
    2.0
    """

    unit = "the net's own"
    option = "score=judgement"

    def residual_map(self, x: Tensor, output: Output) -> Tensor:
        """Return the net's anomaly map, (B, 1, p, p).

        Raises:
            ConfigError: Net without an anomaly map.
        """
        return output.needed("anomaly", by=self.option)


class JudgementInLung(Judgement):
    """Anomaly map of a net that compares lung with lung: it says nothing of what lies outside (`AlignedGaussian`)."""

    option = "score=judgement_in_lung"
    orders_outside = False
