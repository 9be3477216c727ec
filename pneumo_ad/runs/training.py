"""Training of a run: construction and trial of its parts, preparation of the radiographs, fit."""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.exceptions import MisconfigurationException, SIGTERMException
from omegaconf import DictConfig

from pneumo_ad.audit.duplicates import warn_of_copies
from pneumo_ad.callbacks import History, StopAtDivergence
from pneumo_ad.data.datamodule import PatchDataModule
from pneumo_ad.data.radiographs import Radiographs
from pneumo_ad.data.whole_datamodule import WholeDataModule
from pneumo_ad.errors import ConfigError, DamagedError, UserError
from pneumo_ad.inference import check_dense
from pneumo_ad.inference.receptive_field import check_side
from pneumo_ad.inference.whole import check_tells_kinds
from pneumo_ad.loggers import RunLogger
from pneumo_ad.metrics.thresholds import LikeliestKind, Threshold
from pneumo_ad.modules.base import NetModule
from pneumo_ad.nets import VarianceHead
from pneumo_ad.nets.compilation import compile_net
from pneumo_ad.nets.finite import check_weights
from pneumo_ad.runs.checkpoints import read_checkpoint
from pneumo_ad.runs.compose import build, build_all
from pneumo_ad.runs.ddp import count_processes
from pneumo_ad.runs.device import device_of
from pneumo_ad.runs.jobs import INTERRUPTED
from pneumo_ad.runs.origin import Origin, keep_contents
from pneumo_ad.runs.record import timed, update_run_json
from pneumo_ad.runs.run import HISTORY, find_checkpoint, load_run, named
from pneumo_ad.runs.split import keep_split, write_split
from pneumo_ad.runs.tracking import log_columns, log_config
from pneumo_ad.runs.verbosity import hush_others
from pneumo_ad.saved import in_a_line, is_there

log = logging.getLogger(__name__)

_TINY = 1e-9
# Least values of settings that Lightning fails on late, or with which it trains nothing.
_LEAST = {
    "max_epochs": 1,
    "max_steps": 1,
    "devices": 1,
    "accumulate_grad_batches": 1,
    "limit_train_batches": _TINY,
    "gradient_clip_val": _TINY,
}
_UNLIMITED = ("max_epochs", "max_steps", "devices")  # -1 is no limit, or all

DataModule = PatchDataModule | WholeDataModule


def build_data(config: DictConfig, folder: Path) -> tuple[Origin, Any]:
    """Build the origin and data module of a config; a resumed run keeps its split.

    Args:
        config: The composed config, or that of a run.
        folder: Run folder whose split is restored, if it has one.
    """
    origin = Origin(config, folder)
    datamodule = origin.datamodule()
    keep_split(datamodule.radiographs, folder)
    origin.compare_with_earlier(datamodule.radiographs.table, config)
    return origin, datamodule


def build_parts(config: DictConfig) -> tuple[PatchDataModule, NetModule]:
    """Build data module and module; the seed determines the initial weights.

    The net below a `VarianceHead` has those of `config.run`, unless the run has begun and has weights of its own.

    Raises:
        ConfigError: A head without `run=`, or see `build`.
        DataError: See `load_run`.
    """
    L.seed_everything(config.seed, workers=True, verbose=False)
    origin, datamodule = build_data(config, Path(config.run_dir))
    with origin.explained():
        module: NetModule = build(origin.located.module)
    if isinstance(module.net, VarianceHead) and not is_there(Path(config.run_dir) / "checkpoints" / "last.ckpt"):
        _freeze(module.net, config.run)
    return datamodule, module


def _freeze(net: VarianceHead, run: str | None) -> None:
    """Give the net below a head the weights of a run."""
    if run is None:
        raise ConfigError("net=variance_head needs a trained net: experiment=variance_head run=RUN")
    net.autoencoder.load_state_dict(load_run(run).module.net.state_dict())


def prepare(config: DictConfig, datamodule: DataModule) -> None:
    """Decode the radiographs; record contents of files and the split in the run folder.

    Args:
        config: The composed config.
        datamodule: Data module with radiographs assigned to splits.

    Raises:
        ConfigError: See `check_trainer`.
    """
    check_trainer(config.trainer)
    run_dir = Path(config.run_dir)
    with timed(run_dir, "seconds_preparing"):
        datamodule.prepare_data()
    store = datamodule.radiographs.store
    keep_contents(store, run_dir)
    write_split(store.table, run_dir)
    update_run_json(run_dir, store=store.key, copies_across_splits=warn_of_copies(store))


def check_trainer(trainer: DictConfig) -> None:
    """Check settings of Lightning's trainer that would fail, or leave no checkpoint, once all is decoded.

    Where no validation will run, a warning says that the last checkpoint stands in for the best.

    Args:
        trainer: Node `trainer` of a config.

    Raises:
        ConfigError: A setting that cannot work here; names its key.
    """
    if trainer.get("fast_dev_run"):
        raise ConfigError(
            "trainer.fast_dev_run keeps no checkpoint, so that nothing could be measured; for a quick try: "
            "trainer.max_epochs=1 trainer.limit_train_batches=2"
        )
    if trainer.get("overfit_batches"):
        raise ConfigError(
            "trainer.overfit_batches replaces the sampler of batches, by which a training resumes; for few batches: "
            "trainer.limit_train_batches=2"
        )
    if trainer.precision == "16-true" and device_of(trainer).type == "cpu":
        raise ConfigError("trainer.precision=16-true needs CUDA; on a CPU take 32-true or bf16-mixed")
    for key, least in _LEAST.items():
        value = trainer.get(key)
        if isinstance(value, int | float) and value < least and not (value == -1 and key in _UNLIMITED):
            raise ConfigError(f"trainer.{key}={value} must be {'more than 0' if least < 1 else f'at least {least}'}")
    every, epochs = trainer.get("check_val_every_n_epoch"), trainer.get("max_epochs")
    if trainer.get("limit_val_batches") == 0 or (every and epochs and 0 < epochs < every):
        log.warning(
            "no validation will run (trainer.limit_val_batches=%s, trainer.check_val_every_n_epoch=%s, "
            "trainer.max_epochs=%s): there is no best checkpoint, and the last one is measured",
            *(trainer.get("limit_val_batches"), every, epochs),
        )


def check_one_device(config: DictConfig, command: str) -> None:
    """Check that a training uses a single device.

    Args:
        config: The composed config.
        command: Name of the command that trains.

    Raises:
        ConfigError: Several devices.
    """
    if count_processes(config.trainer) > 1:
        raise ConfigError(f"{command} trains on one device: trainer.devices=1")


def fit(config: DictConfig, datamodule: DataModule, module: L.LightningModule, loggers: Sequence[Logger]) -> L.Trainer:
    """Train in this process, which may be one of several, from the last checkpoint of the run if there is one.

    The loggers stay open for later metrics.

    Args:
        config: The composed config.
        datamodule: Data module with radiographs assigned to splits.
        module: Module to train; its `net` if it has one, else all of it, is the trained net.
        loggers: Loggers of the run.

    Returns:
        Lightning's trainer, after the training.

    Raises:
        DamagedError: Training cannot resume from the checkpoint.
        SystemExit: With `INTERRUPTED`, after SIGTERM; progress is saved.
        DivergedError: The loss or the weights are no longer finite, or the weights of the last checkpoint are not.
    """
    # Avoid duplicate Lightning log lines: its own handler and Hydra's would both print them.
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    hush_others()  # again: importing Lightning switches its deprecation notices on
    run_dir, net = Path(config.run_dir), getattr(module, "net", module)
    anew = isinstance(datamodule, PatchDataModule) and datamodule.augment is not None  # patches are cut again
    callbacks = build_all(config.callbacks)
    trainer: L.Trainer = build(
        config.trainer,
        callbacks=callbacks,
        # callbacks.progress=null means no bar; Lightning would put its own there.
        enable_progress_bar=any(isinstance(callback, L.pytorch.callbacks.ProgressBar) for callback in callbacks),
        logger=list(loggers),
        reload_dataloaders_every_n_epochs=int(anew),
    )
    if config.get("compile"):
        compile_net(net, trainer.strategy.root_device)
    last = run_dir / "checkpoints" / "last.ckpt"
    going_on = is_there(last)
    if going_on:
        log.info("going on from %s", os.path.relpath(last))
        checkpoint = read_checkpoint(last)
        check_weights(checkpoint["state_dict"], module, last)
        for logger in loggers:
            if isinstance(logger, RunLogger):
                logger.continue_from(int(checkpoint.get("global_step", 0)))
    log_config(config, datamodule.radiographs.table, net, loggers)
    if trainer.world_size == 1:
        log_columns(config, loggers)
    # Before all callbacks that save.
    trainer.callbacks[:0] = [StopAtDivergence(run_dir, module), History(run_dir / HISTORY)]  # type: ignore[attr-defined]
    try:
        trainer.fit(module, datamodule, ckpt_path=last if going_on else None, weights_only=True)
    except SIGTERMException:
        if trainer.is_global_zero:
            log.warning("told to end; the same command, or resume=%s, goes on", os.path.relpath(run_dir))
        raise SystemExit(INTERRUPTED) from None
    except UserError:
        raise
    except Exception as reason:
        if going_on and _restoring(reason):  # invalid content beside the weights can raise any exception
            raise DamagedError(f"{last}: no training can go on from it ({in_a_line(reason)})") from reason
        if _of_a_setting(reason):
            raise ConfigError(f"trainer or optimizer: {in_a_line(reason)}") from reason
        raise
    if trainer.is_global_zero:
        update_run_json(
            run_dir,
            device=str(trainer.strategy.root_device),
            processes=trainer.world_size,
            threads=torch.get_num_threads(),
            epochs=trainer.current_epoch,
            steps=trainer.global_step,
            parameters=sum(parameter.numel() for parameter in net.parameters()),
        )
    return trainer


def load_best(module: L.LightningModule, run_dir: Path) -> int:
    """Load the weights of a run's best epoch into a module; returns that epoch.

    Args:
        module: Module of that run.
        run_dir: The run folder.

    Raises:
        DataError: No whole checkpoint of this module in the run folder.
        DivergedError: Weights that are not finite.
    """
    file = find_checkpoint(run_dir)
    checkpoint = read_checkpoint(file)
    check_weights(checkpoint["state_dict"], module, file)
    with named(file):
        module.load_state_dict(checkpoint["state_dict"])
    return int(checkpoint["epoch"])


def _restoring(reason: Exception) -> bool:
    """Whether an error arose while Lightning restored a checkpoint."""
    files = {frame.f_code.co_filename for frame, _ in traceback.walk_tb(reason.__traceback__)}
    return any(Path(file).name == "checkpoint_connector.py" for file in files)


def _of_a_setting(reason: Exception) -> bool:
    """Whether Lightning or an optimizer refused what it was given; an error of a net keeps its traceback."""
    *_, (frame, _) = traceback.walk_tb(reason.__traceback__)
    module = frame.f_globals.get("__name__", "")
    return isinstance(reason, MisconfigurationException) or module.startswith(
        ("lightning.", "torch.optim.", "torch.autograd.anomaly")
    )


@torch.no_grad()
def try_out(module: NetModule, data: Radiographs) -> None:
    """Check, before any file is decoded, that the net takes a patch (or a radiograph, with `view=image`).

    Args:
        module: Module to train.
        data: Radiographs, which give view, side lengths and halo.

    Raises:
        ConfigError: The net does not take this size; names the sides that work.
    """
    if module.view != data.view:
        hint = " (experiment=feature_gaussian and experiment=opacity_detector set it)" if module.view == "image" else ""
        raise ConfigError(f"{type(module).__name__} needs view={module.view}, got view={data.view}{hint}")
    patch, halo = data.grid.patch, data.halo
    if halo:
        check_side(module.net, patch, halo)
    side = patch + 2 * halo
    module.eval()
    module.try_out(torch.zeros(1, 1, *(data.grid.image_size if data.view == "image" else (side, side))))
    module.train()


def try_out_dense(module: NetModule, data: Radiographs, begun: bool) -> None:
    """Check that dense scores equal those of windows; only warn for a run that has begun, as it cannot change.

    Args:
        module: Module to train.
        data: Radiographs, which give side lengths and halo.
        begun: Whether the run has a checkpoint.

    Raises:
        ConfigError: The scores would differ, and the run has not begun.
    """
    try:
        check_dense(module.net, data.grid.patch, data.halo, data.grid.image_size)
    except ConfigError as reason:
        if not begun:
            raise
        log.warning("this run is trained, and can be evaluated with other options: %s", reason)


def try_out_kinds(module: NetModule, data: Radiographs, rule: Threshold) -> None:
    """Check that the net outputs the kinds of window, if the threshold rule decides by them.

    Args:
        module: Module to train.
        data: Radiographs, which give view and side lengths.
        rule: Threshold rule.

    Raises:
        ConfigError: The net has no such output; names one that has.
    """
    if not isinstance(rule, LikeliestKind):
        return
    module.eval()
    check_tells_kinds(module.net, data.view, data.grid.image_size)
    module.train()


def describe(data: Radiographs, run_dir: Path) -> None:
    """Log the numbers of radiographs and patches, and record the patches in `run.json`.

    Args:
        data: Prepared radiographs.
        run_dir: The run folder.
    """
    patches = {split: len(data.normal_lung_patches(split)) for split in ("train", "val")}
    normals = {split: len(data.rows(split, "normal")) for split in ("train", "val", "test")}
    update_run_json(run_dir, patches_train=patches["train"], patches_val=patches["val"])
    log.info(
        "%d images; normal: %s; patches of them to learn: %s of %d x %d at stride %d; %d windows per image",
        len(data.store),
        normals,
        patches,
        data.grid.patch,
        data.grid.patch,
        data.grid.stride,
        len(data.grid),
    )
