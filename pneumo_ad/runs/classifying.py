"""The paper's preliminary experiment: a CNN on whole radiographs, trained and measured in a run folder."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import lightning as L
import numpy as np
import numpy.typing as npt
import torch
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, OmegaConf

from pneumo_ad.classifier import RadiographClassifier, RadiographDataModule, balanced_weights
from pneumo_ad.classifier.examination import classify_split, measure_classifier, write_examination
from pneumo_ad.data.fitted_radiographs import FittedRadiographs
from pneumo_ad.files import write_text
from pneumo_ad.loggers import closing
from pneumo_ad.metrics.shortcuts import Values, image_shortcuts
from pneumo_ad.runs.compose import build, build_all, compose_config
from pneumo_ad.runs.jobs import lock
from pneumo_ad.runs.record import read_run_json, recorded, timed, update_run_json
from pneumo_ad.runs.run_config import saved_config
from pneumo_ad.runs.tracking import log_metrics
from pneumo_ad.runs.training import build_data, check_one_device, fit, load_best, prepare

log = logging.getLogger(__name__)

HEADLINE = ("accuracy", "balanced_accuracy", "sensitivity", "specificity", "auroc")


def classifier_beside(run_dir: Path, overrides: Sequence[str] = ()) -> Path:
    """Train a classifier on a run's radiographs, at its image size and on its split, in `run_dir/figures/classifier`.

    A training that was killed continues; a finished classifier is left as it is.

    Args:
        run_dir: Folder of a run of `pneumo-ad train`.
        overrides: Overrides of `conf/classify.yaml`, for example `["trainer.max_epochs=5"]`; a finished classifier
            ignores them.

    Returns:
        The classifier's folder: `metrics.json`, `images.csv`, `figures/fig02_grad_cam.png` and `.csv`.

    Raises:
        DataError: Not a run folder, or data without both classes in each split.
    """
    # So deep that `compare` does not take it for a run of a sweep.
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
    """Train and measure a classifier, and write all results to the `run_dir` of its config.

    Args:
        config: Config composed from `conf/classify.yaml`.
        split_of: Folder whose `split.csv`, if there is one, gives the split of each radiograph.

    Returns:
        Content of `metrics.json`; see `classifier.examination.measure_classifier`.
    """
    run_dir = Path(config.run_dir)
    check_one_device(config, "classify")
    loggers: list[Logger] = build_all(config.logger)
    _, datamodule = build_data(config, split_of)
    data: FittedRadiographs = datamodule.radiographs
    with torch.no_grad():  # an image size that the net does not take fails here, before any file is decoded
        build(config.net)(torch.zeros(1, 1, *data.image_size))
    prepare(config, datamodule)
    with closing(loggers):
        with timed(run_dir, "seconds_training"):
            classifier = fit_classifier(config, datamodule, loggers)
        with timed(run_dir, "seconds_evaluating"):
            classified = classify_split(classifier, datamodule)
            metrics, about = measure_classifier(classified.table, shortcuts_of(data, classified.rows))
            about |= {"store": data.store.key, "skipped": data.skipped}
            write_examination(run_dir, classified, metrics, about)
        log_metrics(loggers, {key: metrics[key] for key in HEADLINE}, read_run_json(run_dir)["steps"])
    return metrics


def fit_classifier(
    config: DictConfig, datamodule: RadiographDataModule, loggers: Sequence[Logger]
) -> RadiographClassifier:
    """Train a classifier, from the last checkpoint if there is one.

    Args:
        config: Composed config.
        datamodule: Radiographs, assigned to splits.
        loggers: Loggers of the run.

    Returns:
        The classifier of the lowest validation loss, in evaluation mode.

    Raises:
        SystemExit: With `INTERRUPTED`, after SIGTERM; progress is saved.
    """
    run_dir = Path(config.run_dir)
    sick = datamodule.targets()["pneumonia"][datamodule.rows("train")]
    L.seed_everything(config.seed, workers=True, verbose=False)  # a seed gives the same weights
    classifier: RadiographClassifier = build(config.module, class_weights=balanced_weights(sick))
    weights = classifier.class_weights
    log.info(
        "training on %d normal radiographs, weighted %.2f, and %d with pneumonia, weighted %.2f",
        *((~sick).sum(), weights[0], sick.sum(), weights[1]),
    )
    trainer = fit(config, datamodule, classifier, loggers)
    update_run_json(run_dir, best_epoch=load_best(classifier, run_dir), class_weights=list(weights))
    return classifier.to(trainer.strategy.root_device).eval()


def load_classifier(run_dir: Path) -> tuple[RadiographClassifier, RadiographDataModule]:
    """Load a finished classifier, in evaluation mode on the CPU, and its data with the split of its training.

    Raises:
        DataError: Not a run folder, or no whole checkpoint of its net.
    """
    config = saved_config(run_dir)
    _, datamodule = build_data(config, run_dir)
    classifier: RadiographClassifier = build(config.module)
    load_best(classifier, run_dir)
    return classifier.eval(), datamodule


def shortcuts_of(data: FittedRadiographs, rows: npt.NDArray[np.int64]) -> Values:
    """Compute trivial scores of radiographs, which the classifier has to beat: (I,) by name.

    Args:
        data: Radiographs.
        rows: (I,) int64 row numbers in the table.
    """
    return image_shortcuts(data.store.images, data.store.table, data.lung_fields, rows)
