"""Structural similarity (Wang et al. 2004, IEEE TIP; as a loss of autoencoders: Bergmann et al. 2019, VISAPP)."""

from torch import Tensor, nn
from torchmetrics.functional.image import structural_similarity_index_measure

from pneumo_ad.errors import ConfigError
from pneumo_ad.nets.output import Output


class SSIMLoss(nn.Module):
    """1 - SSIM of target and reconstruction, mean over pixels and batch; 0 for equal images, at most 2.

    Args:
        sigma: Standard deviation of the Gaussian window in pixels; the window is 7 sigma wide and must fit the patch.

    Raises:
        ConfigError: `sigma` that is not positive.
    """

    def __init__(self, sigma: float = 1.5) -> None:
        super().__init__()
        if sigma <= 0:
            raise ConfigError(f"sigma={sigma} must be positive")
        self.sigma = sigma

    def forward(self, x: Tensor, output: Output) -> Tensor:
        """Compute the loss, a scalar in [0, 2].

        Raises:
            ConfigError: Patch not larger than half the window, which cannot be mirrored at its border.
        """
        reach = int(3.5 * self.sigma + 0.5)
        if min(x.shape[-2:]) <= reach:
            raise ConfigError(
                f"SSIM with sigma={self.sigma} needs patches larger than {reach} pixels, got {x.shape[-1]}"
            )
        similarity = structural_similarity_index_measure(output.reconstruction, x, sigma=self.sigma, data_range=1.0)
        assert isinstance(similarity, Tensor)
        return 1 - similarity
