"""Check for finite weights: those of a diverged training are unusable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pneumo_ad.errors import DivergedError


def not_finite(state: Mapping[str, Any]) -> list[str]:
    """Return names of the tensors of a state dict that hold NaN or infinity.

    >>> not_finite({"weight": torch.tensor([1.0, torch.nan]), "bias": torch.zeros(2), "steps": torch.tensor(3)})
    ['weight']
    """
    floats = {name: one for name, one in state.items() if isinstance(one, Tensor) and one.is_floating_point()}
    if not floats or all_finite(list(floats.values())):
        return []
    return [name for name, one in floats.items() if not one.isfinite().all()]


def all_finite(tensors: Sequence[Tensor]) -> bool:
    """Check that no tensor holds NaN or infinity, with a single synchronisation of the device.

    Args:
        tensors: One or more tensors of any shapes, on one device.
    """
    return bool(torch.stack([one.isfinite().all() for one in tensors]).all())


def check_weights(state: Mapping[str, Any], module: nn.Module, file: str | Path) -> None:
    """Check that weights are finite, before they are loaded.

    Args:
        state: State dict of a file.
        module: Module just built. Tensors that are not finite there, such as a mask of minus infinity, are constants
            and are not checked.
        file: File of the weights, for the message.

    Raises:
        DivergedError: Weights that are not finite; the message names the file and the first tensor.
    """
    constants = not_finite(module.state_dict())
    if bad := [name for name in not_finite(state) if name not in constants]:
        more = f" and {len(bad) - 1} more tensors" if len(bad) > 1 else ""
        raise DivergedError(
            f"{file}: the weights are not finite ({bad[0]}{more}): the training diverged, and nothing can be judged "
            "by them. Train again with a smaller optimizer.lr"
        )
