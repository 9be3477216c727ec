"""What every LightningModule here has in common: a net, a score, and a checkpoint that knows whose weights it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import lightning as L
import torch
from torch import Tensor, nn

from pneumo_ad.errors import DataError
from pneumo_ad.nets.output import Output
from pneumo_ad.scores import Score

OptimizerFactory = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]


def to_unit(patches: Tensor) -> Tensor:
    """Grey levels as uint8 -> float32 in [0, 1]; floating point is taken to be in [0, 1] already."""
    return patches.float().div_(255) if patches.dtype == torch.uint8 else patches


def _described(state_dict: Mapping[str, Tensor]) -> dict[str, tuple[int, ...] | str]:
    """Shapes by name, with the type of what is no floating point: whole or complex numbers are not made to fit."""
    return {
        key: tuple(value.shape) if value.is_floating_point() else f"{tuple(value.shape)} {value.dtype}"
        for key, value in state_dict.items()
    }


class NetModule(L.LightningModule):
    """What every trained net has in common: a score, and a checkpoint that knows whose weights it holds.

    Args:
        net: (B, 1, H, W) in [0, 1] -> `Output`.
        score: Turns input and output into a map and a score.
        optimizer: Parameters -> optimizer; None where nothing is learnt by gradients.
    """

    view: Literal["patch", "image"] = "patch"  # what the net sees

    def __init__(self, net: nn.Module, score: Score, optimizer: OptimizerFactory | None = None) -> None:
        super().__init__()
        # channels_last: on the CPU these nets run about three times as fast as in the default layout.
        self.net = net.to(memory_format=torch.channels_last)
        self.score = score
        self.optimizer_factory = optimizer

    def configure_optimizers(self) -> torch.optim.Optimizer | None:
        """What the factory makes of the net's parameters."""
        return self.optimizer_factory(self.net.parameters()) if self.optimizer_factory else None

    def forward(self, x: Tensor) -> Output:
        """(B, 1, H, W) in [0, 1], or uint8 grey levels -> `Output`."""
        return self.net(to_unit(x).contiguous(memory_format=torch.channels_last))

    def try_out(self, x: Tensor) -> None:
        """See that the net takes inputs of this size, (1, 1, H, W).

        Raises:
            ConfigError: It does not; says which sizes it takes.
        """
        self(x)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Name the net."""
        checkpoint["net"] = type(self.net).__name__

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """See that the weights are those of this net.

        Raises:
            DataError: They are another net's; names both and the first weight that differs.
        """
        given, own = _described(checkpoint["state_dict"]), _described(self.state_dict())
        if given != own:
            first = next(key for key in [*own, *given] if own.get(key) != given.get(key))
            raise DataError(
                f"the checkpoint holds the weights of another net: {checkpoint.get('net', 'a net')} with {first} "
                f"{given.get(first, 'absent')}, the config describes {type(self.net).__name__} with "
                f"{own.get(first, 'absent')}"
            )
