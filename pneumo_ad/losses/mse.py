"""Mean squared error."""

from torch import Tensor, nn

from pneumo_ad.nets.output import Output


class MSELoss(nn.Module):
    """Mean squared difference per pixel of target and reconstruction, both in [0, 1]."""

    def forward(self, x: Tensor, output: Output) -> Tensor:
        """Compute the loss, a scalar in [0, 1]."""
        return nn.functional.mse_loss(output.reconstruction, x)
