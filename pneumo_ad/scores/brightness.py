"""Mean brightness, a baseline score without a net."""

from torch import Tensor

from pneumo_ad.nets.output import Output
from pneumo_ad.scores.sad import GREY_LEVELS
from pneumo_ad.scores.score import Score


class Brightness(Score):
    """Mean grey level of the input, 0-255; opacities are bright, so higher is more anomalous."""

    unit = "grey levels"
    orders_outside = False  # the body is as bright as an opacity, air is black
    highest = GREY_LEVELS

    def residual_map(self, x: Tensor, output: Output) -> Tensor:
        """Return the input in grey levels, (B, 1, p, p)."""
        return x * GREY_LEVELS
