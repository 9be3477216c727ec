"""A net's answer as scores take it, the same on every way there."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pneumo_ad.nets.output import Output


def forward(net: nn.Module, x: Tensor, precision: torch.dtype) -> Output:
    """Run a net in its fastest layout; pictures of the output in float32, without the penalty, which no score reads.

    Args:
        net: (B, 1, h, w) in [0, 1] -> `Output`; used as it is (mode, device).
        x: (B, 1, h, w) float32 in [0, 1], where the net is.
        precision: dtype of autocast; float32 switches it off.
    """
    with torch.autocast(x.device.type, precision, enabled=precision != torch.float32):
        output: Output = net(x.contiguous(memory_format=torch.channels_last))
    return output._replace(penalty=None).apply(Tensor.float)
