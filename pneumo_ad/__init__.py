"""Find anomalies in radiographs without labels: patch autoencoders on PyTorch Lightning and Hydra.

Nothing heavy is imported here: `start_run` and `load_run` come when they are asked for, and all else from the room
that holds it, for example `from pneumo_ad.nets import UNetAutoencoder`.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pneumo_ad.commands.train import start_run
    from pneumo_ad.runs.run import load_run

__all__ = ["__version__", "load_run", "start_run"]

try:
    __version__ = version("pneumo_ad")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

_DOORS = {"start_run": "pneumo_ad.commands.train", "load_run": "pneumo_ad.runs.run"}


def __getattr__(name: str) -> object:
    if name not in _DOORS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_DOORS[name]), name)
