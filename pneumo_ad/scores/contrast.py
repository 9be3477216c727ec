"""Contrast of the input patch, a baseline score for any visible structure."""

import torch
from torch import Tensor

from pneumo_ad.nets.output import Output
from pneumo_ad.patches.box_sums import Boxes
from pneumo_ad.scores.sad import GREY_LEVELS, deviation
from pneumo_ad.scores.score import Score, Term


class Contrast(Score):
    """Standard deviation of the input in grey levels, without a net; higher is more anomalous.

    >>> import torch
    >>> x = torch.tensor([[0.0, 1.0], [1.0, 0.0]])[None, None]
    >>> Contrast().score(x, Output(x)).item()
    127.5
    """

    unit = "grey levels"
    orders_outside = False  # lung has more contrast than regions outside

    def residual_map(self, x: Tensor, output: Output) -> Tensor:
        """Compute squared deviation over standard deviation, (B, 1, p, p); its mean is the standard deviation."""
        squared = (x - x.mean(dim=(1, 2, 3), keepdim=True)).square()
        spread = squared.mean(dim=(1, 2, 3), keepdim=True).sqrt()
        return squared / spread.clamp_min(1e-6) * GREY_LEVELS

    def terms(self, x: Tensor, output: Output, windows: Boxes) -> list[Term]:
        """Expand (x - m)^2 / s = x^2 / s - 2 m x / s + m^2 / s, with mean m and standard deviation s of each window.

        Args:
            x: See `Score.terms`.
            output: Not used.
            windows: See `Score.terms`.
        """
        picture = x[:, 0].double()
        mean = windows.sums(picture) / windows.area
        over = GREY_LEVELS / deviation(x, windows).clamp_min(1e-6)
        return [
            Term(picture.square(), windows, over),
            Term(picture, windows, -2 * mean * over),
            Term(torch.ones_like(picture), windows, mean.square() * over),
        ]
