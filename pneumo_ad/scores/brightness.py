"""Mean brightness: the score that needs no net and that every other one must beat."""

from torch import Tensor

from pneumo_ad.nets.output import Output
from pneumo_ad.scores.sad import GREY_LEVELS
from pneumo_ad.scores.score import Score


class Brightness(Score):
    """Mean grey level 0-255 of the input; opacities are bright, so higher counts as more anomalous."""

    unit = "grey levels"
    orders_outside = False  # the body is as bright as an opacity, air is black
    highest = GREY_LEVELS

    def residual_map(self, x: Tensor, output: Output) -> Tensor:
        """(B, 1, p, p) the input itself in grey levels."""
        return x * GREY_LEVELS
