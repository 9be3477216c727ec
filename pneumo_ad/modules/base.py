"""Base class of the LightningModules: net, score, and checkpoints that name their net."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import lightning as L
import torch
from torch import Tensor, nn

from pneumo_ad.errors import ConfigError, DataError
from pneumo_ad.nets.output import Output
from pneumo_ad.scores import Score

OptimizerFactory = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]


def to_unit(patches: Tensor) -> Tensor:
    """Convert uint8 grey levels to float32 in [0, 1]; floats are assumed to be in [0, 1] already."""
    return patches.float().div_(255) if patches.dtype == torch.uint8 else patches


def patches_of(batch: object, lung: bool = False) -> Tensor:
    """Return the patches of a batch, in [0, 1]; checks its form, not its values.

    Args:
        batch: `PatchBatch`, of `PatchDataModule` or of a loader of one's own.
        lung: Whether lung fields are needed beside.

    Raises:
        ConfigError: Anything else; says what a batch is and what came.
    """
    names = ("patch", "lung") if lung else ("patch",)
    tensors: list[Any] = [batch.get(name) for name in names] if isinstance(batch, Mapping) else [None]
    if all(isinstance(one, Tensor) and one.ndim == 4 and one.shape[1] == 1 for one in tensors):
        patch = tensors[0]
        if patch.dtype == torch.uint8 or patch.is_floating_point():
            return to_unit(patch)
    needs = ' and "lung": tensor (N, 1, h, w) of 0 and 1' if lung else ""
    raise ConfigError(
        f'a batch is a dict with "patch": tensor (N, 1, h, w), float in [0, 1] or uint8{needs}; got {_form(batch)}'
    )


def _form(batch: object) -> str:
    if isinstance(batch, Tensor):
        return f"a tensor {tuple(batch.shape)} {str(batch.dtype).removeprefix('torch.')}"
    if isinstance(batch, Mapping):
        return ", ".join(f'"{name}": {_form(one)}' for name, one in batch.items()) or "an empty dict"
    return f"a {type(batch).__name__}" + (f" of {len(batch)}" if isinstance(batch, list | tuple) else "")


def _described(state_dict: Mapping[str, Tensor]) -> dict[str, tuple[int, ...] | str]:
    """Describe tensors by shape, and dtype unless floating point; only floats are converted when weights are loaded."""
    return {
        key: tuple(value.shape) if value.is_floating_point() else f"{tuple(value.shape)} {value.dtype}"
        for key, value in state_dict.items()
    }


class NetModule(L.LightningModule):
    """Trained net with a score; its checkpoints name the net, and loading checks that the weights fit.

    Args:
        net: Net, (B, 1, H, W) in [0, 1] -> `Output`.
        score: Score of input and output.
        optimizer: Factory, parameters -> optimizer; None for training without gradients.
    """

    view: Literal["patch", "image"] = "patch"  # input of the net

    def __init__(self, net: nn.Module, score: Score, optimizer: OptimizerFactory | None = None) -> None:
        super().__init__()
        # channels_last is about three times as fast on the CPU as the default layout.
        self.net = net.to(memory_format=torch.channels_last)
        self.score = score
        self.optimizer_factory = optimizer

    def configure_optimizers(self) -> torch.optim.Optimizer | None:
        """Create the optimizer of the net's parameters; None without a factory."""
        return self.optimizer_factory(self.net.parameters()) if self.optimizer_factory else None

    def forward(self, x: Tensor) -> Output:
        """Run the net, (B, 1, H, W) in [0, 1] or uint8 grey levels -> `Output`."""
        return self.net(to_unit(x).contiguous(memory_format=torch.channels_last))

    def try_out(self, x: Tensor) -> None:
        """Check that the net takes inputs of this size, (1, 1, H, W).

        Raises:
            ConfigError: Size that the net does not take; the message names sizes that it takes.
        """
        self(x)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the name of the net."""
        checkpoint["net"] = type(self.net).__name__

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Check that the weights are those of this net.

        Raises:
            DataError: Weights of another net; the message names both nets and the first weight that differs.
        """
        given, expected = _described(checkpoint["state_dict"]), _described(self.state_dict())
        if given != expected:
            first = next(key for key in [*expected, *given] if expected.get(key) != given.get(key))
            raise DataError(
                f"the checkpoint holds the weights of another net: {checkpoint.get('net', 'a net')} with {first} "
                f"{given.get(first, 'absent')}, the config describes {type(self.net).__name__} with "
                f"{expected.get(first, 'absent')}"
            )
