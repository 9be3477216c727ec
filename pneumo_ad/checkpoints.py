"""Checkpoints that are whole or not there."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import nn

from pneumo_ad.errors import DataError
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


def weights_digest(net: nn.Module) -> str:
    """Of a net's weights alone: two runs that learnt the same have the same, wherever their files lie."""
    digest = hashlib.sha256()
    for name, tensor in sorted(net.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
