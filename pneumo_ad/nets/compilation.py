"""Compilation of nets by `torch.compile` (PyTorch 2: Ansel et al., ASPLOS 2024), with a check for a compiler."""

from __future__ import annotations

import torch
from torch import nn

from pneumo_ad.errors import ConfigError


def compile_net(net: nn.Module, device: torch.device) -> None:
    """Compile a net in place; weights keep their names, so checkpoints load with and without compilation.

    Compilation takes place at the first batch, and again at the first batch of another size, from which on the batch
    size is dynamic. Results equal those of the plain net up to rounding, not bit by bit.

    Args:
        net: Net in training or evaluation mode.
        device: Device that the net will run on.

    Raises:
        ConfigError: See `check_compiler`.
    """
    check_compiler(device)
    net.compile()


def check_compiler(device: torch.device) -> None:
    """Check that there is a compiler for a device, by compiling a function of one line.

    Args:
        device: Device that compiled nets will run on.

    Raises:
        ConfigError: No working compiler for the device.
    """
    try:
        torch.compile(lambda x: x + 1)(torch.zeros(8, device=device))
    except Exception as reason:  # without a compiler torch raises errors of many classes
        words = (str(reason).strip() or type(reason).__name__).splitlines()[0]
        needed = "a C++ compiler (g++ or clang++)" if device.type == "cpu" else "Triton and a C compiler"
        raise ConfigError(
            f"compile=true needs {needed} for the {device.type}, and torch.compile fails: {words}. Install one, or "
            "leave compile=false"
        ) from reason
