"""Nets compiled by `torch.compile` (PyTorch 2: Ansel et al., ASPLOS 2024), with the compiler looked for beforehand."""

from __future__ import annotations

import torch
from torch import nn

from pneumo_ad.errors import ConfigError


def compile_net(net: nn.Module, device: torch.device) -> None:
    """Compile a net in place: its weights keep their names, and checkpoints load with and without.

    The work is done at the first batch, and once more at the first of another size, for which the number of patches
    becomes a variable; batches of any size then run. Results are those of the plain net to rounding, not to the bit.

    Args:
        net: In training or evaluation mode.
        device: Where it will run.

    Raises:
        ConfigError: See `check_compiler`.
    """
    check_compiler(device)
    net.compile()


def check_compiler(device: torch.device) -> None:
    """See that there is a compiler for a device, with a function of one line.

    Args:
        device: Where compiled nets will run.

    Raises:
        ConfigError: There is none.
    """
    try:
        torch.compile(_one_more)(torch.zeros(8, device=device))
    except Exception as reason:  # torch raises what the compiler's absence led to, of many classes
        words = (str(reason).strip() or type(reason).__name__).splitlines()[0]
        needed = "a C++ compiler (g++ or clang++)" if device.type == "cpu" else "Triton and a C compiler"
        raise ConfigError(
            f"compile=true needs {needed} for the {device.type}, and torch.compile fails: {words}. Install one, or "
            "leave compile=false"
        ) from reason


def _one_more(x: torch.Tensor) -> torch.Tensor:
    return x + 1
