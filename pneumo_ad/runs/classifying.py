"""The paper's preliminary experiment, a CNN on whole radiographs, trained and measured in a run folder."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import numpy.typing as npt
import torch
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, OmegaConf

from pneumo_ad.audit.duplicates import warn_of_copies
from pneumo_ad.classifier import RadiographClassifier, RadiographDataModule, balanced_weights
from pneumo_ad.classifier.examination import classify_split, measure_classifier, write_examination
from pneumo_ad.errors import ConfigError
from pneumo_ad.files import write_text
from pneumo_ad.labels import PNEUMONIA
from pneumo_ad.loggers import closing
from pneumo_ad.metrics.shortcuts import Values, image_shortcuts
from pneumo_ad.nets.finite import check_weights
from pneumo_ad.runs.checkpoints import read_checkpoint
from pneumo_ad.runs.compose import build, build_all, compose_config
from pneumo_ad.runs.ddp import count_processes
from pneumo_ad.runs.jobs import lock
from pneumo_ad.runs.origin import Origin, keep_contents
from pneumo_ad.runs.record import read_run_json, recorded, update_run_json
from pneumo_ad.runs.run import find_checkpoint, named
from pneumo_ad.runs.run_config import saved_config
from pneumo_ad.runs.split import keep_split, write_split
from pneumo_ad.runs.tracking import log_config, log_metrics
from pneumo_ad.runs.training import go_on

log = logging.getLogger(__name__)

HEADLINE = ("accuracy", "balanced_accuracy", "sensitivity", "specificity", "auroc")


def classifier_beside(run_dir: Path, overrides: Sequence[str] = ()) -> Path:
    """The classifier of a run's own radiographs, at its image size and on its split, in `run_dir/figures/classifier`.

    Trained at the first call; one that was killed goes on; a finished one is left as it is.

    Args:
        run_dir: Folder of a run of `pneumo-ad train`.
        overrides: Overrides of `conf/classify.yaml`, for example `["trainer.max_epochs=5"]`; a finished classifier
            ignores them.

    Returns:
        The classifier's folder: `metrics.json`, `images.csv`, `figures/fig02_grad_cam.png` and `.csv`.

    Raises:
        DataError: Not a run folder, or data without both classes in each split.
    """
    # Deep enough for `compare` not to take it for a run of a sweep.
    saved, folder = saved_config(run_dir), run_dir / "figures" / "classifier"
    with lock(folder, wait=10):
        if read_run_json(folder).get("status") == "finished":
            return folder
        config = compose_config("classify", overrides)
        for key in ("data", "lungs", "image_size", "fit", "on_error", "seed"):
            config[key] = saved[key]
        config.trainer.accelerator = saved.trainer.accelerator
        config.run_dir = str(folder)
        (folder / ".hydra").mkdir(exist_ok=True)
        write_text(folder / ".hydra" / "config.yaml", OmegaConf.to_yaml(config))
        with recorded(folder):
            update_run_json(folder, name=config.name, seed=config.seed)
            run_classifier(config, split_of=run_dir)
    return folder


def run_classifier(config: DictConfig, split_of: Path) -> dict[str, float]:
    """Train and measure a classifier, and write everything into the `run_dir` of its config.

    Args:
        config: Config composed from `conf/classify.yaml`.
        split_of: Folder whose `split.csv`, where there is one, says which radiograph is in which split.

    Returns:
        Content of `metrics.json`; see `classifier.examination.measure_classifier`.
    """
    # Its greetings would come twice, through its own handler and through Hydra's.
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    started, run_dir = time.perf_counter(), Path(config.run_dir)
    if count_processes(config.trainer) > 1:
        raise ConfigError("classify trains on one device: trainer.devices=1")
    loggers: list[Logger] = build_all(config.logger)
    origin = Origin(config, split_of)
    datamodule: RadiographDataModule = origin.datamodule()
    keep_split(datamodule.radiographs, split_of)
    origin.compare_with_earlier(datamodule.radiographs.table, config)
    with torch.no_grad():  # what does not fit fails here, before any file is decoded
        build(config.net)(torch.zeros(1, 1, *datamodule.radiographs.image_size))
    datamodule.prepare_data()
    keep_contents(datamodule.radiographs.store, run_dir)
    write_split(datamodule.radiographs.store.table, run_dir)
    update_run_json(run_dir, copies_across_splits=warn_of_copies(datamodule.radiographs.store))
    prepared = time.perf_counter()
    update_run_json(run_dir, seconds_preparing=round(prepared - started, 1), store=datamodule.radiographs.store.key)
    before = read_run_json(run_dir).get("seconds_training", 0)  # of a run that goes on
    with closing(loggers):
        try:
            classifier = fit_classifier(config, datamodule, loggers)
        finally:
            trained = time.perf_counter()
            update_run_json(run_dir, seconds_training=round(before + trained - prepared, 1))
        found = classify_split(classifier, datamodule)
        metrics, about = measure_classifier(found.table, shortcuts_of(datamodule, found.rows))
        about |= {"store": datamodule.radiographs.store.key, "skipped": datamodule.radiographs.skipped}
        write_examination(run_dir, found, metrics, about)
        log_metrics(loggers, {key: metrics[key] for key in HEADLINE}, read_run_json(run_dir)["steps"])
    update_run_json(run_dir, seconds_evaluating=round(time.perf_counter() - trained, 1))
    return metrics


def fit_classifier(
    config: DictConfig, datamodule: RadiographDataModule, loggers: Sequence[Logger]
) -> RadiographClassifier:
    """Train, from the last checkpoint on if there is one.

    Args:
        config: The composed config.
        datamodule: The radiographs, dealt to splits.
        loggers: The run's.

    Returns:
        The classifier of the least validation loss, in evaluation mode.

    Raises:
        SystemExit: With `INTERRUPTED`, after SIGTERM; what was trained is saved.
    """
    run_dir = Path(config.run_dir)
    sick = (datamodule.radiographs.store.table["label"] == PNEUMONIA).to_numpy()[datamodule.rows("train")]
    L.seed_everything(config.seed, workers=True, verbose=False)  # a seed gives the same weights
    classifier: RadiographClassifier = build(config.module, class_weights=balanced_weights(sick))
    trainer: L.Trainer = build(config.trainer, callbacks=build_all(config.callbacks), logger=list(loggers))
    log.info(
        "training on %d normal radiographs, weighted %.2f, and %d with pneumonia, weighted %.2f",
        (~sick).sum(),
        classifier.class_weights[0],
        sick.sum(),
        classifier.class_weights[1],
    )
    log_config(config, loggers)
    go_on(trainer, classifier, datamodule, run_dir)
    best = _load_best(classifier, run_dir)
    update_run_json(
        run_dir,
        device=str(trainer.strategy.root_device),
        threads=torch.get_num_threads(),
        epochs=trainer.current_epoch,
        steps=trainer.global_step,
        best_epoch=best["epoch"],
        parameters=sum(parameter.numel() for parameter in classifier.net.parameters()),
        class_weights=list(classifier.class_weights),
    )
    return classifier.to(trainer.strategy.root_device).eval()


def load_classifier(run_dir: Path) -> tuple[RadiographClassifier, RadiographDataModule]:
    """A finished classifier, in evaluation mode on the CPU, and its data on the split that it was trained on.

    Raises:
        DataError: Not a run folder, or no whole checkpoint of its net in it.
    """
    config = saved_config(run_dir)
    datamodule: RadiographDataModule = Origin(config, run_dir).datamodule()
    keep_split(datamodule.radiographs, run_dir)
    classifier: RadiographClassifier = build(config.module)
    _load_best(classifier, run_dir)
    return classifier.eval(), datamodule


def _load_best(classifier: RadiographClassifier, run_dir: Path) -> dict[str, Any]:
    file = find_checkpoint(run_dir)
    checkpoint = read_checkpoint(file)
    check_weights(checkpoint["state_dict"], classifier, file)
    with named(file):
        classifier.load_state_dict(checkpoint["state_dict"])
    return checkpoint


def shortcuts_of(datamodule: RadiographDataModule, rows: npt.NDArray[np.int64]) -> Values:
    """By name, (I,) a trivial score of each radiograph: what the classifier has to beat.

    Args:
        datamodule: The radiographs, dealt to splits.
        rows: (I,) row numbers in the table.
    """
    store = datamodule.radiographs.store
    return image_shortcuts(store.images, store.table, datamodule.radiographs.lung_fields, rows)
