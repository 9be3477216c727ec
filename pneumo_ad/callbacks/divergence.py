"""Callback that stops a diverged training before it writes a checkpoint."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import lightning as L
import torch
from torch import Tensor

from pneumo_ad.errors import DivergedError
from pneumo_ad.nets.finite import not_finite

_NEVER = math.inf  # step number if every loss is finite


class StopAtDivergence(L.Callback):
    """Callback that stops a training whose loss or weights are not finite.

    It checks the loss of every step, the losses and monitored metrics after each validation, and the weights before
    each checkpoint. Gradients that a scaler skips (`precision=16-mixed`) are not checked: they leave the weights
    finite. A single process on the CPU checks each loss at once, any other every `log_every_n_steps` steps: steps then
    do not wait for the device, and all processes stop together.

    Args:
        run_dir: Run folder; its newest checkpoint is the last good one.
        module: Module before training. Tensors that are not finite yet, such as a mask of minus infinity, are constants
            and are not checked.
    """

    def __init__(self, run_dir: Path, module: L.LightningModule) -> None:
        self._checkpoints = run_dir / "checkpoints"
        self._constants = set(not_finite(module.state_dict()))
        self._losses: list[tuple[int, Tensor]] = []  # (step, loss) since the last check

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep the loss of the step; check the kept losses if a check costs no wait or is due."""
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        if isinstance(loss, Tensor):
            self._losses.append((trainer.global_step, loss.detach()))
        at_once = trainer.strategy.root_device.type == "cpu" and trainer.world_size == 1
        every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        if at_once or (batch_idx + 1) % max(1, every) == 0:
            self._check_losses(trainer)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Check the kept losses."""
        self._check_losses(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Check the validation losses and the metrics that checkpoints monitor."""
        if trainer.sanity_checking:
            return
        monitored = {getattr(one, "monitor", None) for one in trainer.checkpoint_callbacks}
        metrics = {key: one for key, one in trainer.callback_metrics.items() if "loss" in key or key in monitored}
        bad = not_finite({key: one.float() for key, one in metrics.items()})
        if self._any(trainer, bool(bad)):
            what = f"{bad[0]} is {metrics[bad[0]].item()}" if bad else "a loss of validation is not finite"
            self._end(trainer, what, trainer.global_step)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Check the kept losses and the weights."""
        self._check_losses(trainer)
        self._check_weights(trainer, pl_module.state_dict())

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Check the weights."""
        self._check_weights(trainer, checkpoint["state_dict"])

    def _check_losses(self, trainer: L.Trainer) -> None:
        """Check and drop the kept losses; several processes all call this after the same step."""
        if not self._losses:
            return
        steps, losses = zip(*self._losses, strict=True)
        self._losses.clear()
        finite = torch.stack([loss.float().mean() for loss in losses]).isfinite().tolist()
        first = next((step for step, good in zip(steps, finite, strict=True) if not good), _NEVER)
        if (step := self._least(trainer, first)) != _NEVER:
            self._end(trainer, "the training loss is not finite", int(step))

    def _check_weights(self, trainer: L.Trainer, state: Mapping[str, Any]) -> None:
        bad = [name for name in not_finite(state) if name not in self._constants]
        if self._any(trainer, bool(bad)):
            self._end(trainer, f"the weights are not finite{f' ({bad[0]})' if bad else ''}", trainer.global_step)

    @staticmethod
    def _least(trainer: L.Trainer, number: float) -> float:
        """Return the minimum of a number over all processes."""
        if trainer.world_size == 1:
            return number
        there = torch.tensor(float(number), device=trainer.strategy.root_device)
        return float(trainer.strategy.reduce(there, reduce_op="min"))

    def _any(self, trainer: L.Trainer, found: bool) -> bool:
        """Return whether the condition holds in any process."""
        return self._least(trainer, -float(found)) < 0

    def _end(self, trainer: L.Trainer, what: str, step: int) -> NoReturn:
        """End the training with a message that names the last good checkpoint and settings that may help.

        Raises:
            DivergedError: Always.
        """
        of = f" of {trainer.max_epochs}" if trainer.max_epochs and trainer.max_epochs > 0 else ""
        rates = [group["lr"] for optimizer in trainer.optimizers for group in optimizer.param_groups]
        may_help = [f"a smaller optimizer.lr (it was {float(rates[0]):g})"] if rates else []
        may_help += ["trainer.gradient_clip_val=1"] if not trainer.gradient_clip_val else []
        may_help += ["trainer.precision=32-true"] if "16" in str(trainer.precision) else []
        written = sorted(self._checkpoints.glob("*.ckpt"), key=lambda file: (file.stat().st_mtime_ns, file.name))
        last = f"the last good checkpoint is {written[-1]}" if written else "no checkpoint had been written"
        raise DivergedError(
            f"the training diverged: {what} in epoch {trainer.current_epoch + 1}{of}, step {step}; {last}. What may "
            f"help, in another run folder: {', '.join(may_help)}"
        )
