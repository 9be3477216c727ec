"""Checkpoints: atomic writes, and reads of weights and plain numbers alone."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import safetensors.torch
import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_parameter_registration_hook,
)

from pneumo_ad.errors import DamagedError, DataError
from pneumo_ad.files import atomic_write
from pneumo_ad.saved import GIB, MIB, check_mapping, in_a_line, open_zip, opened

SUFFIXES = (".ckpt", ".safetensors")  # checkpoint of a training; weights alone, as shipped
_MOST = 64 * GIB  # largest size of a checkpoint in bytes
_FROZEN = 2**25  # parameters that a net may have beyond those in its checkpoint, for example frozen features


class WholeCheckpoints(TorchCheckpointIO):
    """Checkpoint IO that writes to a file in the same folder and renames it.

    Lightning writes through the system's temporary folder. If that is on another disk, the last step is a copy, and a
    process killed during the copy leaves half a checkpoint in place of a whole one.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Save to `path`, a local file."""
        file = Path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(file) as aside:
            try:
                torch.save(checkpoint, aside)
            except RuntimeError as reason:  # torch does not say which error of the system it met
                left = shutil.disk_usage(file.parent).free
                number = errno.ENOSPC if left < aside.stat().st_size + MIB else errno.EIO
                raise OSError(number, os.strerror(number), str(file)) from reason

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = True) -> dict[str, Any]:
        """Load weights and plain numbers; no code in the checkpoint is executed.

        Raises:
            DataError: Not a whole checkpoint.
        """
        return read_checkpoint(Path(path), map_location)


def read_checkpoint(file: Path, map_location: Any = "cpu") -> dict[str, Any]:
    """Read a checkpoint, without executing code in it.

    Args:
        file: Checkpoint to read.
        map_location: Device of the tensors, as for `torch.load`; a `.safetensors` file goes to the CPU.

    Raises:
        DamagedError: Not a whole checkpoint.
    """
    try:
        with opened(file, _MOST) as content:
            checkpoint = _weights_alone(content) if file.suffix == ".safetensors" else _whole(content, map_location)
        check_mapping(checkpoint, {"state_dict": Mapping})
        for name, tensor in checkpoint["state_dict"].items():
            if not isinstance(name, str) or not isinstance(tensor, Tensor) or tensor.layout != torch.strided:
                raise ValueError(f"state_dict holds {name!r}: {type(tensor).__name__}, expected names of tensors")
            if tensor.is_meta:
                raise ValueError(f"state_dict holds no values of {name}")
    except Exception as reason:  # half a file can fail in any way
        cause = reason.__cause__ if isinstance(reason, DamagedError) else None
        words = in_a_line(reason if cause is None or isinstance(cause, OSError) else cause).removeprefix(f"{file}: ")
        if isinstance(reason, UnpicklingError):  # torch would advise to open it all the same
            words = "it holds other than weights and plain numbers"
        raise DamagedError(f"{file}: not a whole checkpoint ({words})") from reason
    return checkpoint


def _whole(content: BufferedReader, map_location: Any) -> dict[str, Any]:
    with open_zip(content):  # checks the checksums, which torch does not
        pass
    content.seek(0)
    checkpoint: dict[str, Any] = torch.load(content, map_location=map_location, weights_only=True)
    return checkpoint


def _weights_alone(content: BufferedReader) -> dict[str, Any]:
    """Weights of a `.safetensors` file; float16, as shipped, becomes float32."""
    weights = safetensors.torch.load(content.read())
    return {"state_dict": {k: v.float() if v.is_floating_point() else v for k, v in weights.items()}}


@contextmanager
def no_larger_than(state_dict: Mapping[str, Tensor]) -> Iterator[None]:
    """Refuse, in this context, to build far more parameters than a checkpoint holds: a config may name any number.

    Args:
        state_dict: Weights of the checkpoint, by name.

    Raises:
        DataError: The net exceeds the checkpoint by more than `_FROZEN` parameters and buffer values.
    """
    held = sum(tensor.numel() for tensor in state_dict.values())
    left = held + _FROZEN

    def count(module: nn.Module, name: str, parameter: Tensor | None) -> None:
        nonlocal left
        left -= parameter.numel() if parameter is not None else 0
        if left < 0:
            raise DataError(f"it describes a net of far more parameters than the {held:,} of the checkpoint")

    hooks = [register_module_parameter_registration_hook(count), register_module_buffer_registration_hook(count)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def weights_digest(net: nn.Module) -> str:
    """Compute a digest of a net's weights alone, equal for two runs with equal weights."""
    digest = hashlib.sha256()
    for name, tensor in sorted(net.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
