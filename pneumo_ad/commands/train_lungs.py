"""`pneumo-ad train-lungs`: the lung segmenter, trained and measured by the project's own command."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pneumo_ad.errors import ConfigError
from pneumo_ad.runs.command import Command
from pneumo_ad.runs.hydra_command import run_hydra

if TYPE_CHECKING:
    import lightning as L
    import pandas as pd
    from lightning.pytorch.loggers import Logger
    from omegaconf import DictConfig

    from pneumo_ad.lungs.training import LungDataModule, LungSegmentation

USAGE = """\
pneumo-ad train-lungs [group=choice] [key=value] ...

Trains the lung segmenter on radiographs with lung masks (data=masks) and measures it on held-out
patients and on the sets of `also_measure_on`. Writes lung_unet.safetensors into the run folder;
lungs.weights=FILE uses it. Groups, with the default of each and its choices:

{groups}

Keys that people change, with their defaults; --cfg job prints all:

  data.root=DIR             folder of radiographs and their masks
  segmenter.image_size=256  side in pixels at which lungs are found
  segmenter.width=16        channels of the first level
  datamodule.batch_size=8   radiographs in a batch
  trainer.max_epochs=44     epochs of training
  optimizer.lr=0.002        highest learning rate
  seed=0                    of weights, batches and augmentation
"""


def train_lungs(config: DictConfig) -> dict[str, float]:
    """Train a segmenter and measure it.

    Returns:
        What `metrics.json` holds: `held_out/...` and, for each set of `also_measure_on`, `<name>/...`.

    Raises:
        UserError: Something the config asks for cannot work.
    """
    import lightning as L

    from pneumo_ad.loggers import closing
    from pneumo_ad.runs.compose import build, build_all
    from pneumo_ad.runs.ddp import count_processes
    from pneumo_ad.runs.origin import Origin, keep_contents
    from pneumo_ad.runs.provenance import provenance_of
    from pneumo_ad.runs.record import update_run_json
    from pneumo_ad.runs.tracking import log_config, log_metrics
    from pneumo_ad.runs.training import go_on

    run_dir = Path(config.run_dir)
    update_run_json(run_dir, **provenance_of(config))
    L.seed_everything(config.seed, workers=True, verbose=False)
    origin = Origin(config, run_dir)
    datamodule: LungDataModule = origin.datamodule()
    module: LungSegmentation = build(config.module)
    loggers: list[Logger] = build_all(config.logger)
    trainer: L.Trainer = build(config.trainer, callbacks=build_all(config.callbacks), logger=loggers)
    own = datamodule.table
    tables: dict[str, pd.DataFrame] = {"held_out": own[own["split"] == "test"].reset_index(drop=True)}
    tables |= {name: build(node) for name, node in origin.located.also_measure_on.items()}  # a missing folder fails now
    if count_processes(config.trainer) > 1:
        raise ConfigError("train-lungs trains on one device: trainer.devices=1")
    started = time.perf_counter()
    datamodule.prepare_data()
    keep_contents(datamodule.store, run_dir)
    with closing(loggers):
        log_config(config, loggers)
        go_on(trainer, module, datamodule, run_dir)
        best, metrics = _measure(config, module, tables, run_dir)
        log_metrics(loggers, metrics, trainer.global_step)
    update_run_json(run_dir, seconds=round(time.perf_counter() - started, 1), epoch=best)
    _print(metrics)
    print(f"run: {run_dir}\nweights: {run_dir / 'lung_unet.safetensors'}")
    return metrics


def _measure(
    config: DictConfig, module: LungSegmentation, tables: dict[str, pd.DataFrame], run_dir: Path
) -> tuple[int, dict[str, float]]:
    """Write the best epoch's segmenter and what it reaches on each table; returns that epoch and its metrics."""
    from pneumo_ad.data.store.opening import open_store
    from pneumo_ad.files import write_json
    from pneumo_ad.lungs.segmenter import LungSegmenter
    from pneumo_ad.lungs.training import field_metrics
    from pneumo_ad.runs.checkpoints import read_checkpoint

    best = read_checkpoint(run_dir / "checkpoints" / "best.ckpt")
    module.load_state_dict(best["state_dict"])
    module.segmenter.save(run_dir / "lung_unet.safetensors")
    segmenter = LungSegmenter.from_file(run_dir / "lung_unet.safetensors")  # measured as it ships
    metrics: dict[str, float] = {}
    for name, table in tables.items():
        store = open_store(table, (config.measure_size,) * 2, "squash", config.on_error)
        figures = field_metrics(segmenter.segment_all(store.images), store)
        metrics |= {f"{name}/{key}": value for key, value in figures.items()}
    write_json(run_dir / "metrics.json", metrics)
    return best["epoch"], metrics


def _print(metrics: dict[str, float]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="lung fields, mean over radiographs never trained on", title_justify="left")
    figures = ("images", "dice", "precision", "recall", "opacity_inside")
    for column in ("set", *figures):
        table.add_column(column)
    for name in dict.fromkeys(key.split("/")[0] for key in metrics):
        shown = {key: "{:.0f}" if key == "images" else "{:.4f}" for key in figures}
        row = {key: metrics.get(f"{name}/{key}") for key in figures}
        table.add_row(name, *("–" if value is None else shown[key].format(value) for key, value in row.items()))
    Console(highlight=False).print(table)


COMMAND = Command(
    section="train",
    place=4,
    summary="train the lung segmenter that ships",
    example="(data.root=... to use other masks)",
    run=partial(run_hydra, "train_lungs", work=train_lungs),
    usage=USAGE,
    config="train_lungs",
    alone=True,
)
