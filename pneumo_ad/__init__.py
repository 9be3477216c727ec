"""Find anomalies in radiographs without labels: patch autoencoders on PyTorch Lightning and Hydra.

Nothing heavy is imported here: the names below come when they are asked for, and all else from the room that holds it,
for example `from pneumo_ad.nets import UNetAutoencoder`.
"""

from __future__ import annotations

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


def doors(room: str, names: Mapping[str, str]) -> Callable[[str], object]:
    """The `__getattr__` of a package that imports what it offers when it is asked for.

    Args:
        room: The package.
        names: Module within the package -> names that it holds, blanks between.
    """
    homes = {name: module for module, held in names.items() for name in held.split()}

    def get(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        return getattr(import_module(f"{room}.{homes[name]}"), name)

    return get


__getattr__ = doors(
    __name__,
    {
        "commands.compare": "compare",
        "commands.evaluate": "evaluate",
        "commands.predict": "predict",
        "commands.train": "start_run",
        "runs.run": "load_run",
    },
)
