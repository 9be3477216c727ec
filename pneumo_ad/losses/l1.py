"""Mean absolute error."""

from torch import Tensor, nn

from pneumo_ad.nets.output import Output


class L1Loss(nn.Module):
    """Mean absolute difference per pixel of target and reconstruction, both in [0, 1]: SAD / 255."""

    def forward(self, x: Tensor, output: Output) -> Tensor:
        """Compute the loss, a scalar in [0, 1]."""
        return nn.functional.l1_loss(output.reconstruction, x)
