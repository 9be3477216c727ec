"""`pneumo-ad train-lungs`: training and measurement of the lung segmenter."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pneumo_ad.runs.command import Command
from pneumo_ad.runs.hydra_command import run_hydra

if TYPE_CHECKING:
    import pandas as pd
    from lightning.pytorch.loggers import Logger
    from omegaconf import DictConfig

    from pneumo_ad.lungs.training import LungSegmentation

USAGE = """\
pneumo-ad train-lungs [group=choice] [key=value] ...

Trains the lung segmenter on radiographs with lung masks (data=masks) and measures it on held-out
patients and on the sets of `also_measure_on`. Writes lung_unet.safetensors into the run folder;
lungs.weights=FILE uses it. Groups, with the default of each and its choices:

{groups}

Keys in common use, with their defaults; --cfg job prints all:

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
        Content of `metrics.json`: `held_out/...` and, for each set of `also_measure_on`, `<name>/...`.

    Raises:
        UserError: The configured training is not possible.
    """
    import lightning as L

    from pneumo_ad.loggers import closing
    from pneumo_ad.runs.compose import build, build_all
    from pneumo_ad.runs.jobs import in_sweep
    from pneumo_ad.runs.provenance import provenance_of
    from pneumo_ad.runs.record import timed, update_run_json
    from pneumo_ad.runs.tracking import log_metrics
    from pneumo_ad.runs.training import build_data, check_one_device, fit, load_best, prepare

    run_dir = Path(config.run_dir)
    update_run_json(run_dir, **provenance_of(config))
    check_one_device(config, "train-lungs")
    L.seed_everything(config.seed, workers=True, verbose=False)
    origin, datamodule = build_data(config, run_dir)
    module: LungSegmentation = build(config.module)
    loggers: list[Logger] = build_all(config.logger)
    own = datamodule.radiographs.table
    tables: dict[str, pd.DataFrame] = {"held_out": own[own["split"] == "test"].reset_index(drop=True)}
    tables |= {name: build(node) for name, node in origin.located.also_measure_on.items()}  # a missing folder fails now
    prepare(config, datamodule)
    with closing(loggers):
        with timed(run_dir, "seconds_training"):
            trainer = fit(config, datamodule, module, loggers)
        update_run_json(run_dir, best_epoch=load_best(module, run_dir))
        with timed(run_dir, "seconds_evaluating"):
            metrics = _measure(config, module, tables, run_dir)
        log_metrics(loggers, metrics, trainer.global_step)
    if not in_sweep():
        _print(metrics)
        print(f"run: {run_dir}\nweights: {run_dir / 'lung_unet.safetensors'}")
    return metrics


def _measure(
    config: DictConfig, module: LungSegmentation, tables: dict[str, pd.DataFrame], run_dir: Path
) -> dict[str, float]:
    """Write the segmenter and its metrics on each table."""
    from pneumo_ad.data.store.opening import open_store
    from pneumo_ad.files import write_json
    from pneumo_ad.lungs.segmenter import LungSegmenter
    from pneumo_ad.lungs.training import field_metrics

    module.segmenter.save(run_dir / "lung_unet.safetensors")
    segmenter = LungSegmenter.from_file(run_dir / "lung_unet.safetensors")  # measured as it ships
    metrics: dict[str, float] = {}
    for name, table in tables.items():
        store = open_store(table, (config.measure_size,) * 2, "squash", config.on_error)
        figures = field_metrics(segmenter.segment_all(store.images), store)
        metrics |= {f"{name}/{key}": value for key, value in figures.items()}
    write_json(run_dir / "metrics.json", metrics)
    return metrics


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
