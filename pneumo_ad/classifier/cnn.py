"""The classifier of the paper's § 3.1."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pneumo_ad.errors import ConfigError


class RadiographCNN(nn.Module):
    """Three 3 × 3 convolutions, a max pooling after each, batch norm after the last, FC, dropout 0.5, FC.

    So far Nagamura, Tokunaga and Okita (2019, § 3.1). What they leave open is ours: the widths, ReLU, the width of the
    hidden layer, and that the last maps are averaged to `cells` × `cells` before the FC: it still sees where something
    lies, at any image size, with 0.3 million weights where flattening 32 × 32 maps would take 4 million. ReLU comes
    after the pooling, where it gives the same at a quarter of the cost.

    Args:
        widths: Channels of the convolutions.
        hidden: Width of the hidden layer.
        cells: Side of the grid that the FC sees.
        dropout: Share of hidden units left out in training.

    Raises:
        ConfigError: A number that cannot be.

    >>> RadiographCNN()(torch.zeros(2, 1, 256, 256)).shape
    torch.Size([2])
    """

    def __init__(
        self, widths: Sequence[int] = (8, 16, 32), hidden: int = 128, cells: int = 8, dropout: float = 0.5
    ) -> None:
        super().__init__()
        if not widths or min(*widths, hidden, cells) < 1:
            raise ConfigError(f"widths={list(widths)}, hidden={hidden} and cells={cells} must be at least 1")
        if not 0 <= dropout < 1:
            raise ConfigError(f"dropout={dropout} must lie in [0, 1)")
        blocks = []
        for before, after in zip([1, *widths], widths, strict=False):
            blocks += [nn.Conv2d(before, after, 3, padding=1), nn.MaxPool2d(2), nn.ReLU()]
        self.divisor = 2 ** len(widths)
        self.features = nn.Sequential(*blocks)
        # What Grad-CAM looks at: (B, widths[-1], H / divisor, W / divisor), the last maps with their level taken out.
        # Before the norm each map is mostly its own constant level, and so is what Grad-CAM makes of them.
        self.norm = nn.BatchNorm2d(widths[-1])
        self.cells = nn.AdaptiveAvgPool2d(cells)
        self.decide = nn.Sequential(
            nn.Linear(widths[-1] * cells**2, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, H, W) float32 in [0, 1] -> (B,) logits of pneumonia.

        Raises:
            ConfigError: Not one channel, or sides too small for the poolings; names the least.
        """
        if x.ndim != 4 or x.shape[1] != 1:
            raise ConfigError(f"the classifier takes (B, 1, H, W), one grey channel; {tuple(x.shape)} came")
        if min(x.shape[2:]) < self.divisor:
            raise ConfigError(
                f"{x.shape[2]} x {x.shape[3]} pixels are too few for {len(self.features) // 3} poolings; the least is "
                f"{self.divisor} x {self.divisor}"
            )
        maps = self.features(x.contiguous(memory_format=torch.channels_last))
        return self.decide(self.cells(self.norm(maps)).flatten(1)).squeeze(1)
