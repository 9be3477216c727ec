"""Embedding of difference images: the latent vector of an autoencoder, trained without labels."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from pneumo_ad.nets import BottleneckAutoencoder

_MOST_DEPTH = 3
_BATCH = 128


class Embedding:
    """Latent vector of an autoencoder of pictures in grey levels; built by `train_embedding`.

    Args:
        net: Autoencoder of the pictures, scaled to (0, 1) by `unit`.
        centre: Grey level that maps to 0.5.
        scale: Distance from `centre`, in grey levels, that maps to 0.25 or 0.75.

    Attributes:
        net: As given.
    """

    def __init__(self, net: BottleneckAutoencoder, centre: float, scale: float) -> None:
        self.net, self.centre, self.scale = net, centre, scale

    def unit(self, pictures: Tensor) -> Tensor:
        """Scale (B, 1, p, p) grey levels of any sign to (0, 1) by softsign, which keeps faint and strong residuals."""
        return 0.5 + 0.5 * F.softsign((pictures.float() - self.centre) / self.scale)

    @torch.inference_mode()
    def __call__(self, pictures: Tensor) -> Tensor:
        """Encode pictures: (B, 1, p, p) in grey levels -> (B, latent) float32."""
        x = self.unit(pictures).contiguous(memory_format=torch.channels_last)
        return self.net.encoder(x)

    @torch.inference_mode()
    def explained(self, pictures: Tensor) -> float:
        """Compute the share of the variance of scaled (B, 1, p, p) pictures that passes the bottleneck; at most 1."""
        x = self.unit(pictures)
        error = torch.cat([(part - self.net(part).reconstruction).square() for part in x.split(_BATCH)])
        return float(1 - error.mean() / (x - x.mean()).square().mean().clamp_min(1e-12))


def train_embedding(
    pictures: Tensor, latent: int = 8, width: int = 8, steps: int = 400, lr: float = 2e-3, seed: int = 0
) -> Embedding:
    """Train an autoencoder of pictures on their squared error (Hinton & Salakhutdinov 2006, Science); no label is seen.

    Args:
        pictures: (N, 1, p, p) in grey levels, any sign; p even.
        latent: Length of the latent vector.
        width: Channels of the net's first level.
        steps: Number of steps of Adam, on batches of 128.
        lr: Learning rate of Adam.
        seed: Seed of initial weights and batches.

    Raises:
        ConfigError: p is odd.
    """
    side = pictures.shape[-1]
    depth = next((depth for depth in range(_MOST_DEPTH, 1, -1) if side % 2**depth == 0), 1)
    centre = float(pictures.float().mean())
    scale = max(float((pictures.float() - centre).abs().mean()), 1e-3)
    cuda = [pictures.device] if pictures.is_cuda else []
    with torch.random.fork_rng(devices=cuda):  # initial weights come from torch's global generator
        torch.manual_seed(seed)
        net = BottleneckAutoencoder(side, latent, width, depth)
    net = net.to(pictures.device).to(memory_format=torch.channels_last)
    embedding = Embedding(net, centre, scale)
    optimizer = torch.optim.Adam(net.parameters(), lr=lr)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        numbers = torch.randint(len(pictures), (_BATCH,), generator=generator).to(pictures.device)
        x = embedding.unit(pictures[numbers]).contiguous(memory_format=torch.channels_last)
        optimizer.zero_grad()
        F.mse_loss(net(x).reconstruction, x).backward()
        optimizer.step()
    net.eval()
    return embedding
