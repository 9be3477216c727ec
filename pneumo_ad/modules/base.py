"""Base class of the LightningModules: net, score, and checkpoints that name their net."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import lightning as L
import torch
from torch import Tensor, nn

from pneumo_ad.data.batch import patches_of, to_unit
from pneumo_ad.errors import DataError
from pneumo_ad.nets.output import Output, check_output
from pneumo_ad.scores import Score

OptimizerFactory = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]


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

    def scores_of(self, x: Tensor) -> Tensor:
        """Score patches (or radiographs, with `view = "image"`), (B, 1, h, w) in [0, 1] -> (B,)."""
        return self.score.score(x, self(x))

    def predict_step(self, batch: object, batch_idx: int, dataloader_idx: int = 0) -> Tensor:
        """Score a batch, (B,): `Trainer.predict` returns a list of these."""
        return self.scores_of(patches_of(batch))

    @torch.inference_mode()
    def scores(self, patches: Tensor, batch_size: int = 64) -> Tensor:
        """Score any number of patches (or radiographs, with `view = "image"`) on the module's device.

        Args:
            patches: (N, 1, h, w), float in [0, 1] or uint8.
            batch_size: Patches in a forward pass.

        Returns:
            (N,) float32 on the CPU, higher is more anomalous.

        Raises:
            ConfigError: Something else than patches.
        """
        patches_of({"patch": patches})
        training = self.training
        self.eval()
        parts = [self.scores_of(to_unit(part.to(self.device))).float().cpu() for part in patches.split(batch_size)]
        self.train(training)
        return torch.cat(parts)

    def try_out(self, x: Tensor) -> None:
        """Check that the net takes inputs of this size, (1, 1, H, W), and returns what a net is to.

        Raises:
            ConfigError: Size that the net does not take; the message names sizes that it takes. Or see `check_output`.
        """
        check_output(self(x), x, self.net)

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
