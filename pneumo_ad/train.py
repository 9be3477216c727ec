"""`pneumo-ad train`: one straight list from config to a trained, evaluated run."""

from __future__ import annotations

import logging
import os
import platform
import subprocess
import time
from pathlib import Path

import lightning as L
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

import pneumo_ad
from pneumo_ad.compose import build, build_all
from pneumo_ad.data.datamodule import PatchDataModule
from pneumo_ad.evaluate import evaluate_run
from pneumo_ad.module import PatchAutoencoder
from pneumo_ad.runs import load_run, write_json
from pneumo_ad.summary import print_evaluation

log = logging.getLogger(__name__)


def train(config: DictConfig) -> dict[str, object]:
    """Train and evaluate what a config describes.

    Returns:
        What was built, so that a test can look inside: `datamodule`, `module`, `trainer`, `run_dir`.

    Raises:
        UserError: Something the config asks for cannot work.
    """
    run_dir = prepare_run(config)
    L.seed_everything(config.seed, workers=True, verbose=False)
    datamodule: PatchDataModule = build(config.datamodule)
    module: PatchAutoencoder = build(config.module)
    trainer: L.Trainer = build(
        config.trainer,
        callbacks=build_all(config.callbacks),
        logger=build_all(config.logger),
        reload_dataloaders_every_n_epochs=int(datamodule.augment is not None),
    )
    _try_out(module, datamodule.grid.patch)
    started = time.perf_counter()
    datamodule.prepare_data()
    _describe(datamodule, run_dir)
    prepared = time.perf_counter()
    trainer.fit(module, datamodule)
    story = record(config, run_dir) | {
        "seconds_preparing": round(prepared - started, 1),
        "seconds_training": round(time.perf_counter() - prepared, 1),
        "device": str(trainer.strategy.root_device),
        "epochs": trainer.current_epoch,
        "steps": trainer.global_step,
        "store": datamodule.store.key,
    }
    write_json(run_dir / "run.json", story)
    if config.evaluate:
        evaluate_run(load_run(run_dir), run_dir)
        print_evaluation(run_dir, f"{config.name}: test split")
    print(f"run: {run_dir}\nTensorBoard: tensorboard --logdir {run_dir}")
    return {"datamodule": datamodule, "module": module, "trainer": trainer, "run_dir": run_dir}


@torch.no_grad()
def _try_out(module: PatchAutoencoder, patch: int) -> None:
    """A patch that does not fit the net fails here, by name, before any file is decoded."""
    module.eval()
    module(torch.zeros(1, 1, patch, patch))
    module.train()


def prepare_run(config: DictConfig) -> Path:
    """Fill in the run folder."""
    # Its greetings would come twice, through its own handler and through Hydra's.
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    run_dir = Path(HydraConfig.get().runtime.output_dir)
    config.run_dir = str(run_dir)
    return run_dir


def record(config: DictConfig, run_dir: Path) -> dict[str, object]:
    """Commit, versions, device, seed and command line of a run."""
    return {
        "command": OmegaConf.to_container(HydraConfig.get().overrides.task),
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
        "threads": torch.get_num_threads(),
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
    table[["image", "patient", "label", "split"]].to_csv(run_dir / "split.csv", index=False)
    patches = {split: len(datamodule.normal_lung_patches(split)) for split in ("train", "val")}
    normals = {split: len(datamodule.rows(split, "normal")) for split in ("train", "val", "test")}
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
