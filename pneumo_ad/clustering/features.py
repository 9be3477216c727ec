"""Interpretable features of difference images."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

FEATURES = ("mean", "sad", "spread", "peak", "roughness", "skewness", "coarse_share")

_BLOCKS = 4  # blocks along each side; their means are the coarse part of an image
_FLAT = 1e-3  # spread in grey levels below which features of form would measure rounding errors


def plain_features(residual: Tensor) -> Tensor:
    """Compute interpretable features of difference images.

    | feature | of the residual r | |
    |---|---|---|
    | mean | mean of r: brighter or darker than expected | compressed grey levels |
    | sad | mean of abs(r): the paper's score | compressed grey levels |
    | spread | standard deviation of r | compressed grey levels |
    | peak | largest abs(r) | compressed grey levels |
    | roughness | mean abs difference between neighbouring pixels | compressed grey levels |
    | skewness | third standardised moment: a few bright spots, or dark ones | compressed |
    | coarse_share | share of the variance between 4 x 4 blocks: near 1 for a cloud, near 0 for noise | [0, 1] |

    Grey levels are `compressed`, because the long tails of amplitudes would otherwise become a cluster. The features of
    form (skewness, coarse_share) of a flat residual are 0.

    Args:
        residual: (B, 1, p, p) float, signed difference images in grey levels; p at least 4.

    Returns:
        (B, 7) float32, in the order of `FEATURES`.

    >>> flat = plain_features(torch.full((1, 1, 8, 8), -3.0))
    >>> dict(zip(FEATURES, flat[0].exp().sub(1).round(decimals=2).tolist()))["sad"]
    3.0
    """
    r = residual.float()
    flat = r.flatten(1)
    mean, spread = flat.mean(dim=1), flat.std(dim=1, correction=0)
    down, across = (torch.diff(r, dim=side).abs().flatten(1).mean(dim=1) for side in (2, 3))
    amplitudes = [mean, flat.abs().mean(dim=1), spread, flat.abs().amax(dim=1), (down + across) / 2]
    has_form = spread > _FLAT
    divisor = torch.where(has_form, spread, torch.ones_like(spread))
    skewness = ((flat - mean[:, None]) / divisor[:, None]).pow(3).mean(dim=1)
    coarse = F.adaptive_avg_pool2d(r, _BLOCKS).flatten(1).std(dim=1, correction=0)
    share = (coarse / divisor).square().clamp(max=1)
    form = [torch.where(has_form, value, torch.zeros_like(value)) for value in (compressed(skewness), share)]
    return torch.stack([*map(compressed, amplitudes), *form], dim=1)


def compressed(values: Tensor) -> Tensor:
    """Compute sign(v) log(1 + abs(v)): nearly linear for small v, logarithmic for large v; odd and increasing."""
    return values.sign() * values.abs().log1p()
