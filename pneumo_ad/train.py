"""`pneumo-ad train`: one straight list from config to a trained, evaluated run."""

from __future__ import annotations

import json
import logging
import os
import platform
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import lightning as L
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.utilities.exceptions import SIGTERMException
from omegaconf import DictConfig, OmegaConf

import pneumo_ad
from pneumo_ad.compilation import check_compiler, compile_net
from pneumo_ad.compose import build, build_all
from pneumo_ad.data.datamodule import PatchDataModule
from pneumo_ad.errors import ConfigError
from pneumo_ad.evaluate import check_evaluation, device_of, evaluate_run
from pneumo_ad.jobs import INTERRUPTED, flatten, overrides_of, read_story, tell
from pneumo_ad.loggers import closing
from pneumo_ad.loggers.tensorboard import write_hparams
from pneumo_ad.module import NetModule
from pneumo_ad.nets.reach import check_side, reach_of
from pneumo_ad.processes import count_processes, launch
from pneumo_ad.runs import keep_split, load_run, write_split
from pneumo_ad.search_path import as_override, saved_search_path
from pneumo_ad.summary import HEADLINE, print_evaluation

log = logging.getLogger(__name__)

_DECISIVE = (
    "pixel/auroc_in_lung", "patch/auroc_outside_vs_healthy", "patch/auroc_opacity_vs_healthy", "image/auroc",
)  # fmt: skip
# What a run is made of, in TensorBoard's table of runs.
_VARIED = (
    "seed", "image_size", "fit", "patch", "stride", "batch_size", "per_epoch", "net", "corruption", "loss", "score",
)  # fmt: skip


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
    tell(run_dir, **record(config))
    datamodule, module = build_parts(config)
    loggers: list[Logger] = build_all(config.logger)
    _try_out(module, datamodule)
    check_evaluation(config)
    if config.compile:
        check_compiler(device_of(config.trainer))
    if config.scoring == "dense" and datamodule.view == "patch":
        _announce_dense(module, datamodule)
    started = time.perf_counter()
    datamodule.prepare_data()
    _describe(datamodule, run_dir)
    processes = count_processes(config.trainer)
    datamodule.check_processes(processes)
    prepared = time.perf_counter()
    tell(run_dir, seconds_preparing=round(prepared - started, 1), store=datamodule.store.key)
    tell(run_dir, shards=datamodule.shards, shards_left_out=list(datamodule.shards_left_out))
    before = read_story(run_dir).get("seconds_training", 0)  # of a run that goes on
    with closing(loggers):
        try:
            if processes > 1:
                launch(run_dir, processes)
            else:
                fit(config, datamodule, module, loggers)
        finally:
            fitted = time.perf_counter()
            tell(run_dir, seconds_training=round(before + fitted - prepared, 1))
        if config.evaluate:
            evaluate_run(load_run(run_dir), run_dir, config.evaluate)
            print_evaluation(run_dir, f"{config.name}: {config.evaluate} split")
            tell(run_dir, seconds_evaluating=round(time.perf_counter() - fitted, 1))
            log_outcome(config, run_dir, loggers)
    print(f"run: {run_dir}")
    if any(isinstance(logger, TensorBoardLogger) for logger in loggers):
        print(f"TensorBoard: tensorboard --logdir {run_dir}")
    return {"datamodule": datamodule, "module": module, "run_dir": run_dir}


def build_parts(config: DictConfig) -> tuple[PatchDataModule, NetModule]:
    """Data and module; a seed gives the same weights, and a run that goes on has the split that it began with."""
    L.seed_everything(config.seed, workers=True, verbose=False)
    datamodule: PatchDataModule = build(config.datamodule)
    keep_split(datamodule, Path(config.run_dir))
    return datamodule, build(config.module)


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
        tell(
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
        SystemExit: With `INTERRUPTED`, after SIGTERM; what was trained is saved.
    """
    last = run_dir / "checkpoints" / "last.ckpt"
    if last.is_file():
        log.info("going on from %s", last)
    try:
        trainer.fit(module, datamodule, ckpt_path=last if last.is_file() else None)
    except SIGTERMException:
        if trainer.is_global_zero:
            log.warning("told to end; the same command, or resume=%s, goes on", run_dir)
        raise SystemExit(INTERRUPTED) from None


@torch.no_grad()
def _try_out(module: NetModule, datamodule: PatchDataModule) -> None:
    """A patch, or a radiograph, that does not fit the net fails here, by name, before any file is decoded."""
    if module.view != datamodule.view:
        hint = " (experiment=feature_gaussian and experiment=opacity_detector set it)" if module.view == "image" else ""
        raise ConfigError(f"{type(module).__name__} needs view={module.view}, got view={datamodule.view}{hint}")
    patch, halo = datamodule.grid.patch, datamodule.halo
    if halo:
        check_side(module.net, patch, halo)
    side = patch + 2 * halo
    module.eval()
    module.try_out(torch.zeros(1, 1, *(datamodule.grid.image_size if datamodule.view == "image" else (side, side))))
    module.train()


def _announce_dense(module: NetModule, datamodule: PatchDataModule) -> None:
    """A net that cannot run over whole radiographs fails here; what a halo would make exact is said."""
    patch, halo = datamodule.grid.patch, datamodule.halo
    needed = reach_of(module.net, patch + 2 * halo).halo(patch)
    if halo < needed:
        log.warning(
            "scoring=dense is an approximation with halo=%d, whose deviation the evaluation measures and may refuse; "
            "halo=%d makes it exact",
            *(halo, needed),
        )


def log_config(config: DictConfig, loggers: Sequence[Logger]) -> None:
    """Tell trackers what a run is made of, by dotted key; TensorBoard is told with the outcome, csv lies beside it.

    Args:
        config: The composed config.
        loggers: The run's.
    """
    told = config.copy()
    told.run_dir = "."  # a run folder that moves goes on in the same run, whose params cannot change
    plain = OmegaConf.to_container(told, resolve=True)
    assert isinstance(plain, dict)
    params = flatten({key: value for key, value in plain.items() if key not in ("run_dir", "sweep", "tune")})
    for logger in loggers:
        if not isinstance(logger, (TensorBoardLogger, CSVLogger)):
            logger.log_hyperparams(params)


def log_outcome(config: DictConfig, run_dir: Path, loggers: Sequence[Logger]) -> None:
    """Hand the headline metrics to every logger; to TensorBoard with what varies, as its HParams page compares runs.

    Args:
        config: The composed config.
        run_dir: The run folder.
        loggers: The run's.
    """
    metrics = json.loads((run_dir / "metrics.json").read_text())
    # The page shows the first five: those by which runs compare come first.
    keys = [*_DECISIVE, *(key for key in HEADLINE if key not in _DECISIVE)]
    reached = {key: metrics[key] for key in keys if key in metrics}
    boards = [logger for logger in loggers if isinstance(logger, TensorBoardLogger)]
    for board in boards:
        write_hparams(Path(board.log_dir), _made_of(config), reached)
    log_metrics([logger for logger in loggers if logger not in boards], reached, read_story(run_dir)["steps"])


def log_metrics(loggers: Sequence[Logger], metrics: Mapping[str, float], step: int) -> None:
    """Hand what came after the training to every logger.

    Args:
        loggers: The run's.
        metrics: By key.
        step: The last of the training.
    """
    for logger in loggers:
        logger.log_metrics(dict(metrics), step)
        logger.save()


def _made_of(config: DictConfig) -> dict[str, object]:
    """What varies, in a sweep: the page shows few columns. Else the parts that a sweep might vary."""
    if HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN:
        hydra = HydraConfig.get()
        same = set(hydra.job.config.override_dirname.exclude_keys)
        swept = (override.lstrip("+").partition("=") for override in hydra.overrides.task)
        words = {key: value for key, _, value in swept if key not in same}
        values = {key: OmegaConf.select(config, key) for key in words}
        return {
            key: words[key] if value is None or OmegaConf.is_config(value) else value for key, value in values.items()
        }
    whole = flatten(OmegaConf.to_container(config, resolve=True))
    parts = {key.removesuffix("._target_"): value for key, value in whole.items() if key.split(".")[0] in _VARIED}
    return {key: value.split(".")[-1] if isinstance(value, str) else value for key, value in parts.items()}


def record(config: DictConfig) -> dict[str, object]:
    """Commit, versions, machine, seed and command line of a run."""
    return {
        "command": [
            *overrides_of(Path(config.run_dir)),
            *as_override(saved_search_path(Path(config.run_dir))),
        ],
        "name": config.name,
        "seed": config.seed,
        "commit": _commit(),
        "pneumo_ad": pneumo_ad.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "lightning": L.__version__,
        "machine": torch.cuda.get_device_name()
        if torch.cuda.is_available()
        else platform.processor() or platform.machine(),
    }


def _commit() -> str | None:
    """Commit of the source tree that runs, with `+` where it has changes; None for an installed wheel."""
    here = Path(pneumo_ad.__file__).parent
    if not (here.parent / ".git").exists():  # installed: a repository further up is somebody else's
        return None
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--abbrev=12", "--exclude=*", "--dirty=+"],
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"LC_ALL": "C"},
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return described.stdout.strip() or None


def _describe(datamodule: PatchDataModule, run_dir: Path) -> None:
    """Say what will be trained on, and keep the split with the run."""
    table = datamodule.store.table
    write_split(table, run_dir)
    patches = {split: len(datamodule.normal_lung_patches(split)) for split in ("train", "val")}
    normals = {split: len(datamodule.rows(split, "normal")) for split in ("train", "val", "test")}
    tell(run_dir, patches_train=patches["train"], patches_val=patches["val"])
    log.info(
        "%d radiographs; normal: %s; normal-lung patches: %s of %d x %d at stride %d; %d windows per radiograph",
        len(table),
        normals,
        patches,
        datamodule.grid.patch,
        datamodule.grid.patch,
        datamodule.grid.stride,
        len(datamodule.grid),
    )
