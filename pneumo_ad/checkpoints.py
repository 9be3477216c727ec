"""Checkpoints that are whole or not there."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor, nn

from pneumo_ad.errors import DataError, DivergedError
from pneumo_ad.files import whole


class WholeCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint beside its place and renames it.

    Lightning's own way goes through the system's temporary folder: where that is another disk, the last step is a copy,
    and a process killed in the midst of it leaves half a checkpoint in the place of a whole one.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Save to `path`, a local file."""
        file = Path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole(file) as aside:
            torch.save(checkpoint, aside)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = True) -> dict[str, Any]:
        """Load plain weights and numbers; nothing in a checkpoint is run.

        Raises:
            DataError: Not a whole checkpoint.
        """
        return read_checkpoint(Path(path), map_location)


def read_checkpoint(file: Path, map_location: Any = "cpu") -> dict[str, Any]:
    """What a checkpoint holds.

    Args:
        file: The checkpoint.
        map_location: Where its tensors go, as of `torch.load`.

    Raises:
        DataError: Not a whole checkpoint.
    """
    try:
        checkpoint: dict[str, Any] = torch.load(file, map_location=map_location, weights_only=True)
        _ = checkpoint["state_dict"]
    except Exception as reason:  # half a file can fail in any way
        words = f"{reason}".partition("\n")[0] or type(reason).__name__
        raise DataError(f"{file}: not a whole checkpoint ({words})") from reason
    return checkpoint


def not_finite(state: Mapping[str, Any]) -> list[str]:
    """Names of the tensors of a state dict that hold NaN or infinity.

    >>> not_finite({"weight": torch.tensor([1.0, torch.nan]), "bias": torch.zeros(2), "steps": torch.tensor(3)})
    ['weight']
    """
    floats = {name: one for name, one in state.items() if isinstance(one, Tensor) and one.is_floating_point()}
    if not floats or all_finite(list(floats.values())):
        return []
    return [name for name, one in floats.items() if not one.isfinite().all()]


def all_finite(tensors: Sequence[Tensor]) -> bool:
    """Whether no tensor holds NaN or infinity; the device is waited for once.

    Args:
        tensors: Of any shapes, on one device.
    """
    return bool(torch.stack([one.isfinite().all() for one in tensors]).all())


def check_weights(state: Mapping[str, Any], module: nn.Module, file: str | Path) -> None:
    """See that weights are finite, before they are loaded.

    Args:
        state: State dict of a file.
        module: Just built. What is not finite there, as a mask of minus infinity, is a constant.
        file: Where they come from, for the message.

    Raises:
        DivergedError: They are not; names the file and the first tensor.
    """
    constants = not_finite(module.state_dict())
    if found := [name for name in not_finite(state) if name not in constants]:
        more = f" and {len(found) - 1} more tensors" if len(found) > 1 else ""
        raise DivergedError(
            f"{file}: the weights are not finite ({found[0]}{more}): the training diverged, and nothing can be judged "
            "by them. Train again with a smaller optimizer.lr"
        )


def weights_digest(net: nn.Module) -> str:
    """Of a net's weights alone: two runs that learnt the same have the same, wherever their files lie."""
    digest = hashlib.sha256()
    for name, tensor in sorted(net.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
