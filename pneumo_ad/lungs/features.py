"""Features and probabilities of the packaged lung segmenter, trained on radiographs with lung masks as only labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from pneumo_ad.errors import ConfigError
from pneumo_ad.lungs.segmenter import WEIGHTS, LungSegmenter
from pneumo_ad.nets.standardise import standardised_squares
from pneumo_ad.nets.unet import encoded


class SegmenterFeatures(nn.Module):
    """Feature extractor: (B, 1, H, W) in [0, 1] -> a feature map per chosen level of the segmenter's encoder.

    Args:
        levels: Numbers of the levels; level n is at 1 / 2 ** (n + 1) of the resolution.
        weights: Safetensors file written by `pneumo-ad train-lungs`; default: the packaged weights.

    Attributes:
        channels: Channels of all maps together.

    Raises:
        ConfigError: No level, or a number that is none.
        DataError: See `LungSegmenter.from_file`.
    """

    def __init__(self, levels: Sequence[int] = (0, 1, 2), weights: str | Path | None = None) -> None:
        super().__init__()
        unet = LungSegmenter.from_file(weights or WEIGHTS).unet
        levels = sorted(set(levels))
        if not levels or not 0 <= levels[0] <= levels[-1] <= unet.depth:
            raise ConfigError(f"levels={list(levels)} must be some of 0 to {unet.depth}")
        self.encoder = unet.encoder[: levels[-1] + 1]
        self.pool = unet.pool
        self.kept = levels
        self.channels = sum(unet.encoder[level][0].out_channels for level in levels)  # type: ignore[index]
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the feature maps, from the finest to the coarsest chosen level."""
        maps = encoded(standardised_squares(x), self.encoder, self.pool)
        return [maps[level] for level in self.kept]


class SegmenterProbability(nn.Module):
    """Probability of lung: (B, 1, H, W) radiographs in [0, 1] -> (B, 1, H, W) in [0, 1].

    Args:
        weights: Safetensors file written by `pneumo-ad train-lungs`; default: the packaged weights.

    Raises:
        DataError: See `LungSegmenter.from_file`.
    """

    def __init__(self, weights: str | Path | None = None) -> None:
        super().__init__()
        self.segmenter = LungSegmenter.from_file(weights or WEIGHTS)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return self.segmenter.probability(x)
