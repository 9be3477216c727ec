"""Form of a batch: what a module takes of a loader of this package, or of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeGuard

import torch
from torch import Tensor

from pneumo_ad.errors import ConfigError

_WORDS = {
    "patch": '"patch": tensor (N, 1, h, w), float in [0, 1] or uint8',
    "lung": '"lung": tensor (N, 1, h, w) of 0 and 1',
    "pneumonia": '"pneumonia": tensor (N,) of bool',
}


def to_unit(patches: Tensor) -> Tensor:
    """Convert uint8 grey levels to float32 in [0, 1]; floats are assumed to be in [0, 1] already."""
    return patches.float().div_(255) if patches.dtype == torch.uint8 else patches


def patches_of(batch: object, *beside: Literal["lung", "pneumonia"]) -> Tensor:
    """Return the patches of a batch, in [0, 1]; checks its form, not its values.

    Args:
        batch: `PatchBatch`, of a loader of this package or of one's own.
        beside: Names of what is needed beside the patches.

    Raises:
        ConfigError: Anything else; says what a batch is and what came.
    """
    if isinstance(batch, Mapping) and _is_picture(patch := batch.get("patch")):
        fits = {"lung": _is_picture(lung := batch.get("lung")) and lung.shape == patch.shape}
        fits["pneumonia"] = isinstance(sick := batch.get("pneumonia"), Tensor) and (
            sick.dtype == torch.bool and sick.shape == patch.shape[:1]
        )
        if all(fits[name] for name in beside) and (patch.dtype == torch.uint8 or patch.is_floating_point()):
            return to_unit(patch)
    needs = " and ".join(_WORDS[name] for name in ("patch", *beside))
    raise ConfigError(f"a batch is a dict with {needs}; got {_form(batch)}")


def _is_picture(one: object) -> TypeGuard[Tensor]:
    return isinstance(one, Tensor) and one.ndim == 4 and one.shape[1] == 1


def _form(batch: object) -> str:
    if isinstance(batch, Tensor):
        return f"a tensor {tuple(batch.shape)} {str(batch.dtype).removeprefix('torch.')}"
    if isinstance(batch, Mapping):
        return ", ".join(f'"{name}": {_form(one)}' for name, one in batch.items()) or "an empty dict"
    return f"a {type(batch).__name__}" + (f" of {len(batch)}" if isinstance(batch, list | tuple) else "")
