"""`pneumo-ad train`: one straight list from config to a trained, evaluated run."""

from __future__ import annotations

import logging
import os
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning.pytorch.utilities.exceptions import SIGTERMException
from omegaconf import DictConfig, OmegaConf

from pneumo_ad.audit.duplicates import warn_of_copies
from pneumo_ad.callbacks import StopAtDivergence
from pneumo_ad.data.datamodule import PatchDataModule
from pneumo_ad.data.radiographs import Radiographs
from pneumo_ad.errors import ConfigError, DamagedError, UserError
from pneumo_ad.evaluation.evaluate import evaluate_run
from pneumo_ad.evaluation.summary import print_evaluation
from pneumo_ad.inference import check_dense
from pneumo_ad.inference.receptive_field import check_side
from pneumo_ad.loggers import closing
from pneumo_ad.modules.base import NetModule
from pneumo_ad.nets.compilation import check_compiler, compile_net
from pneumo_ad.nets.finite import check_weights
from pneumo_ad.runs.checkpoints import read_checkpoint
from pneumo_ad.runs.compose import build, build_all, compose_job
from pneumo_ad.runs.ddp import count_processes, launch
from pneumo_ad.runs.device import device_of
from pneumo_ad.runs.jobs import INTERRUPTED, lock
from pneumo_ad.runs.options import check_evaluation
from pneumo_ad.runs.origin import Origin, keep_contents
from pneumo_ad.runs.provenance import record
from pneumo_ad.runs.record import keep_recipe, read_run_json, recorded, update_run_json
from pneumo_ad.runs.run import Run, load_run
from pneumo_ad.runs.split import keep_split, write_split
from pneumo_ad.runs.tracking import log_config, log_outcome
from pneumo_ad.saved import in_a_line, is_there

log = logging.getLogger(__name__)


def train(config: DictConfig) -> dict[str, object]:
    """Train and evaluate what a config describes, in its `run_dir`, from its last checkpoint on if there is one.

    Returns:
        What was built, so that a test can look inside: `datamodule`, `module` (trained where it was trained in this
        process), `run_dir`.

    Raises:
        UserError: Something the config asks for cannot work.
    """
    # Its greetings would come twice, through its own handler and through Hydra's.
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    run_dir = Path(config.run_dir)
    update_run_json(run_dir, **record(config))
    datamodule, module = build_parts(config)
    data = datamodule.radiographs
    loggers: list[Logger] = build_all(config.logger)
    _try_out(module, data)
    check_evaluation(config)
    if config.compile:
        check_compiler(device_of(config.trainer))
    if config.scoring == "dense" and data.view == "patch":
        _try_out_dense(module, data, (run_dir / "checkpoints" / "last.ckpt").is_file())
    started = time.perf_counter()
    datamodule.prepare_data()
    _describe(data, run_dir)
    processes = count_processes(config.trainer)
    datamodule.check_processes(processes)
    prepared = time.perf_counter()
    update_run_json(run_dir, seconds_preparing=round(prepared - started, 1), store=data.store.key)
    before = read_run_json(run_dir).get("seconds_training", 0)  # of a run that goes on
    with closing(loggers):
        try:
            if processes > 1:
                launch(run_dir, processes)
            else:
                fit(config, datamodule, module, loggers)
        finally:
            fitted = time.perf_counter()
            update_run_json(run_dir, seconds_training=round(before + fitted - prepared, 1))
        if config.evaluate:
            evaluate_run(load_run(run_dir), run_dir, config.evaluate)
            print_evaluation(run_dir, f"{config.name}: {config.evaluate} split")
            update_run_json(run_dir, seconds_evaluating=round(time.perf_counter() - fitted, 1))
            log_outcome(config, run_dir, loggers)
    print(f"run: {run_dir}")
    if any(isinstance(logger, TensorBoardLogger) for logger in loggers):
        print(f"TensorBoard: tensorboard --logdir {run_dir}")
    return {"datamodule": datamodule, "module": module, "run_dir": run_dir}


def build_parts(config: DictConfig) -> tuple[PatchDataModule, NetModule]:
    """Data and module; a seed gives the same weights, and a run that goes on has the split that it began with."""
    L.seed_everything(config.seed, workers=True, verbose=False)
    origin = Origin(config, Path(config.run_dir))
    datamodule: PatchDataModule = origin.datamodule()
    keep_split(datamodule.radiographs, origin.folder)
    origin.compare_with_earlier(datamodule.radiographs.table, config)
    with origin.explained():
        return datamodule, build(origin.located.module)


def fit(config: DictConfig, datamodule: PatchDataModule, module: NetModule, loggers: Sequence[Logger]) -> None:
    """Train in this process, which may be one of several; the loggers stay open for what comes after.

    Args:
        config: The composed config.
        datamodule: The radiographs, dealt to splits.
        module: What is trained.
        loggers: The run's.

    Raises:
        SystemExit: With `INTERRUPTED`, after SIGTERM; what was trained is saved.
    """
    run_dir = Path(config.run_dir)
    trainer: L.Trainer = build(
        config.trainer,
        callbacks=build_all(config.callbacks),
        logger=list(loggers),
        reload_dataloaders_every_n_epochs=int(datamodule.augment is not None),
    )
    log_config(config, loggers)
    if config.compile:
        compile_net(module.net, trainer.strategy.root_device)
    go_on(trainer, module, datamodule, run_dir)
    if trainer.is_global_zero:
        update_run_json(
            run_dir,
            device=str(trainer.strategy.root_device),
            processes=trainer.world_size,
            threads=torch.get_num_threads(),
            epochs=trainer.current_epoch,
            steps=trainer.global_step,
            parameters=sum(parameter.numel() for parameter in module.net.parameters()),
        )


def go_on(trainer: L.Trainer, module: L.LightningModule, datamodule: L.LightningDataModule, run_dir: Path) -> None:
    """Train, from the last checkpoint of a run folder on if there is one.

    Args:
        trainer: Lightning's.
        module: What is trained.
        datamodule: The radiographs, dealt to splits.
        run_dir: The run folder.

    Raises:
        DamagedError: The checkpoint is none that the training can go on from.
        SystemExit: With `INTERRUPTED`, after SIGTERM; what was trained is saved.
        DivergedError: The loss or the weights are no longer finite, or those of the last checkpoint are not.
    """
    last = run_dir / "checkpoints" / "last.ckpt"
    going_on = is_there(last)
    if going_on:
        log.info("going on from %s", os.path.relpath(last))
        check_weights(read_checkpoint(last)["state_dict"], module, last)
    # First, before those that save, whatever callbacks were asked for.
    trainer.callbacks.insert(0, StopAtDivergence(run_dir, module))  # type: ignore[attr-defined]
    try:
        trainer.fit(module, datamodule, ckpt_path=last if going_on else None, weights_only=True)
    except SIGTERMException:
        if trainer.is_global_zero:
            log.warning("told to end; the same command, or resume=%s, goes on", os.path.relpath(run_dir))
        raise SystemExit(INTERRUPTED) from None
    except UserError:
        raise
    except Exception as reason:
        if going_on and _restoring(reason):  # whatever it holds beside the weights can fail in any way
            raise DamagedError(f"{last}: no training can go on from it ({in_a_line(reason)})") from reason
        raise


def _restoring(reason: Exception) -> bool:
    """Whether an error came while Lightning put back what a checkpoint holds."""
    files = {frame.f_code.co_filename for frame, _ in traceback.walk_tb(reason.__traceback__)}
    return any(Path(file).name == "checkpoint_connector.py" for file in files)


@torch.no_grad()
def _try_out(module: NetModule, data: Radiographs) -> None:
    """A patch, or a radiograph, that does not fit the net fails here, by name, before any file is decoded."""
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


def _try_out_dense(module: NetModule, data: Radiographs, begun: bool) -> None:
    """Dense scores that would not be those of windows fail here; a run that has begun cannot change, and is trained."""
    try:
        check_dense(module.net, data.grid.patch, data.halo, data.grid.image_size)
    except ConfigError as reason:
        if not begun:
            raise
        log.warning("this run is trained, and can be evaluated with other options: %s", reason)


def _describe(data: Radiographs, run_dir: Path) -> None:
    """Say what will be trained on, and keep the split and what the files hold with the run."""
    table = data.store.table
    keep_contents(data.store, run_dir)
    write_split(table, run_dir)
    update_run_json(run_dir, copies_across_splits=warn_of_copies(table))
    patches = {split: len(data.normal_lung_patches(split)) for split in ("train", "val")}
    normals = {split: len(data.rows(split, "normal")) for split in ("train", "val", "test")}
    update_run_json(run_dir, patches_train=patches["train"], patches_val=patches["val"])
    log.info(
        "%d radiographs; normal: %s; normal-lung patches: %s of %d x %d at stride %d; %d windows per radiograph",
        len(table),
        normals,
        patches,
        data.grid.patch,
        data.grid.patch,
        data.grid.stride,
        len(data.grid),
    )


def start_run(folder: str | Path, overrides: Sequence[str] = (), search_path: Sequence[str] = ()) -> Run:
    """Train and evaluate in this process what `pneumo-ad train` would, and open the run.

    The folder is the same as the command line's, and so is what happens where it holds a run already: a finished one is
    opened, one that was stopped goes on, one of another recipe is refused. Nothing of Hydra stays behind.

    Args:
        folder: Where the run is to lie.
        overrides: As on the command line, for example `["net=unet", "patch=16", "trainer.max_epochs=2"]`. Of a recipe
            with axes this is the run of its defaults: a loop over folders and overrides is a sweep.
        search_path: Further places of yaml: `pkg://their_package.conf`, `file:///folder`.

    Returns:
        The finished run; see `load_run`.

    Raises:
        UserError: As the command line would print it.
        ConfigError: An override of Hydra's own keys, which only the command line obeys.

    Example:
        `run = start_run("runs/first", ["patch=16", "trainer.max_epochs=2"])`
    """
    folder = Path(folder)
    hydras = [one for one in overrides if one.lstrip("+~").startswith("hydra")]
    if hydras:
        raise ConfigError(f"{hydras[0]}: start_run takes the folder and search_path as arguments of its own")
    config, hydra = compose_job("train", overrides, search_path)
    OmegaConf.update(hydra, "hydra.runtime.output_dir", str(folder.absolute()))  # on the command line Hydra notes it
    with lock(folder):
        keep_recipe(folder, config, overrides, hydra)
        if read_run_json(folder).get("status") != "finished":
            config.run_dir = str(folder)
            with recorded(folder):
                train(config)
    return load_run(folder)
