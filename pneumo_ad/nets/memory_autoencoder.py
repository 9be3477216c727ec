"""Memory-augmented autoencoder, MemAE (Gong et al. 2019, ICCV)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pneumo_ad.errors import ConfigError
from pneumo_ad.nets.codec import Decoder, Encoder
from pneumo_ad.nets.output import Output
from pneumo_ad.nets.unet import Norm

_TEMPERATURE = 0.1


def sparse_attention(queries: Tensor, memory: Tensor, shrink: float) -> Tensor:
    """Compute attention over memory items: softmax of cosines, small weights set to 0, the others renormalised.

    The paper takes the softmax of the cosines, which lie in [-1, 1], so that no weight exceeds e^2 times another; here
    they are divided by 0.1 first. Where half the largest weight is below the threshold, weights above that half remain.

    Args:
        queries: (Q, C) floats.
        memory: (slots, C) floats.
        shrink: Threshold in units of 1 / slots, the weight of an item under uniform attention.

    Returns:
        (Q, slots) weights, 0 or more; rows sum to 1.

    >>> memory = torch.eye(3)
    >>> sparse_attention(2 * memory, memory, shrink=1.0).tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    cosine = nn.functional.normalize(queries, dim=1) @ nn.functional.normalize(memory, dim=1).T
    weight = (cosine / _TEMPERATURE).softmax(dim=1)
    threshold = (0.5 * weight.detach().amax(dim=1, keepdim=True)).clamp_max(shrink / len(memory))
    # The weight or 0 equals the paper's relu(w - t) * w / |w - t|, without the division.
    kept = weight * (weight > threshold)
    return kept / kept.sum(dim=1, keepdim=True)


class MemoryAutoencoder(nn.Module):
    """Convolutional autoencoder whose bottleneck is read from a learnt memory, so that it returns learnt features only.

    Each of the (p / 2 ** depth) ** 2 feature vectors is replaced by `sparse_attention` over `slots` items. The penalty
    is `entropy` times the mean entropy of the attention in nats.

    Args:
        slots: Number of items in the memory.
        shrink: Threshold up to which attention is set to 0, in units of 1 / slots; the paper takes 1 to 3.
        entropy: Weight of the entropy; the authors' 0.0002 is relative to a loss that is a mean per pixel, as here.
        width: Channels of the first level, doubled after each pooling.
        depth: Number of poolings.
        convs: Convolutions per level.
        norm: `none` or `batch`.

    Raises:
        ConfigError: Number below 1, unknown norm, or negative shrink or entropy; in `forward`, a patch side that is not
            divisible by 2 ** depth.

    >>> MemoryAutoencoder(width=4)(torch.rand(2, 1, 32, 32)).reconstruction.shape
    torch.Size([2, 1, 32, 32])
    """

    def __init__(
        self,
        slots: int = 100,
        shrink: float = 1.0,
        entropy: float = 0.0002,
        width: int = 32,
        depth: int = 3,
        convs: int = 1,
        norm: Norm = "none",
    ) -> None:
        super().__init__()
        if slots < 1:
            raise ConfigError(f"slots={slots} must be at least 1")
        if shrink < 0 or entropy < 0:
            raise ConfigError(f"shrink={shrink} and entropy={entropy} must not be negative")
        self.shrink = shrink
        self.entropy = entropy
        self.encoder = Encoder(width, depth, convs, norm)
        channels = self.encoder.channels
        self.query = nn.Conv2d(channels, channels, 1)  # features are 0 or more; queries have any sign
        self.memory = nn.Parameter(torch.empty(slots, channels))
        nn.init.normal_(self.memory)
        self.decoder = Decoder(width, depth, convs, norm)

    def attend(self, x: Tensor) -> Tensor:
        """Compute attention, (B, 1, p, p) in [0, 1] -> (B, h, w, slots) float32, sums to 1 over the slots."""
        queries = self.query(self.encoder(x)).permute(0, 2, 3, 1)
        with torch.autocast(x.device.type, enabled=False):
            return sparse_attention(queries.flatten(0, 2).float(), self.memory, self.shrink).view(
                *queries.shape[:3], len(self.memory)
            )

    def forward(self, x: Tensor) -> Output:
        """Reconstruct patches: (B, 1, p, p) in [0, 1] -> `Output` with a penalty."""
        attention = self.attend(x)
        read = (attention @ self.memory).permute(0, 3, 1, 2)
        entropy = torch.special.entr(attention.clamp_min(1e-12)).sum(dim=3).mean()
        return Output(torch.sigmoid(self.decoder(read)), penalty=self.entropy * entropy)
