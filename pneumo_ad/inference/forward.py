"""Forward pass of a net, shared by all scoring modes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pneumo_ad.nets.full_float32 import full_float32
from pneumo_ad.nets.output import Output


def forward(net: nn.Module, x: Tensor, precision: torch.dtype) -> Output:
    """Run a net in its fastest memory layout; the output is float32 and has no penalty, which scores do not use.

    Args:
        net: (B, 1, h, w) in [0, 1] -> `Output`; used in its current mode and on its device.
        x: (B, 1, h, w) float32 in [0, 1], on the device of the net.
        precision: dtype of autocast; float32 switches it off, and TF32 too.
    """
    with full_float32(), torch.autocast(x.device.type, precision, enabled=precision != torch.float32):
        output: Output = net(x.contiguous(memory_format=torch.channels_last))
    return output._replace(penalty=None).apply(Tensor.float)
