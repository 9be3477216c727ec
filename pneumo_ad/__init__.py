"""Unsupervised anomaly detection in radiographs: patch autoencoders on PyTorch Lightning and Hydra.

The names below are imported on first access. Others come from their packages, for example
`from pneumo_ad.nets import UNetAutoencoder`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pneumo_ad.commands.compare import compare
    from pneumo_ad.commands.evaluate import evaluate
    from pneumo_ad.commands.predict import predict
    from pneumo_ad.commands.train import start_run
    from pneumo_ad.runs.run import load_run

__all__ = ["__version__", "compare", "evaluate", "load_run", "predict", "start_run"]

try:
    __version__ = version("pneumo_ad")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"


def doors(room: str, names: Mapping[str, str]) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return `__getattr__` and `__dir__` of a module, which import public names of a package on first access.

    Args:
        room: Full name of the package.
        names: Module within the package -> its public names, separated by blanks.
    """
    homes = {name: module for module, held in names.items() for name in held.split()}

    def get(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        return getattr(import_module(f"{room}.{homes[name]}"), name)

    def names_there() -> list[str]:
        return sorted({*vars(sys.modules[room]), *homes})

    return get, names_there


__getattr__, __dir__ = doors(
    __name__,
    {
        "commands.compare": "compare",
        "commands.evaluate": "evaluate",
        "commands.predict": "predict",
        "commands.train": "start_run",
        "runs.run": "load_run",
    },
)
