"""Logging of a run's config, card and results to its loggers, beside the losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from hydra.core.hydra_config import HydraConfig
from lightning.pytorch.loggers import CSVLogger, Logger
from omegaconf import DictConfig, OmegaConf
from torch import nn

from pneumo_ad import figures
from pneumo_ad.labels import RADIOGRAPH, Vocabulary
from pneumo_ad.loggers import RunLogger, TensorBoardRun
from pneumo_ad.metrics.catalogue import HEADLINE
from pneumo_ad.metrics.metrics_json import read_metrics
from pneumo_ad.runs.card import headline_words, results_card, run_card
from pneumo_ad.runs.evaluation_options import option_names
from pneumo_ad.runs.jobs import in_sweep
from pneumo_ad.runs.record import flatten, read_run_json
from pneumo_ad.saved import is_there, read_table

_DECISIVE = (
    "pixel/auroc_in_lung", "patch/auroc_opacity_vs_healthy", "patch/auroc_outside_vs_healthy", "image/auroc",
)  # fmt: skip
# Column of `confusion_of_kinds.csv` -> words of the predicted kind, a template.
_PREDICTED = {
    "healthy lung": "{healthy}",
    "opacity": "{anomaly}",
    "not opacity": "not {anomaly}",
    "outside": figures.NAMES["outside"],
}
# Hyper-parameters in TensorBoard's table of runs.
_VARIED = ("seed", *option_names(windows=True), "batch_size", "per_epoch", "net", "corruption", "loss", "score")


def log_config(config: DictConfig, table: pd.DataFrame, net: nn.Module, loggers: Sequence[Logger]) -> None:
    """Log the config by dotted key, and the card of the run; csv lies beside the config.

    TensorBoard's table of runs takes few columns, and a training in several processes gets them with the results.

    Args:
        config: The composed config.
        table: Radiographs of the run.
        net: The net that is trained.
        loggers: Loggers of the run.
    """
    shown = config.copy()
    shown.run_dir = "."  # logged parameters cannot change, and the folder may move before a run resumes
    plain = OmegaConf.to_container(shown, resolve=True)
    assert isinstance(plain, dict)
    params = flatten(
        {key: value for key, value in plain.items() if key not in ("run_dir", "sweep", "tune", "evaluation")}
    )
    params = {key: value for key, value in params.items() if "vocabulary" not in key.split(".")}  # changes no result
    for logger in loggers:
        if isinstance(logger, RunLogger):
            logger.log_text("card", run_card(config, table, net), 0)
        if not isinstance(logger, (TensorBoardRun, CSVLogger)):
            logger.log_hyperparams(params)


def log_columns(config: DictConfig, loggers: Sequence[Logger]) -> None:
    """Log the hyper-parameters that tell runs apart, for TensorBoard's table of runs.

    Args:
        config: The composed config.
        loggers: Loggers of the run.
    """
    for logger in loggers:
        if isinstance(logger, TensorBoardRun):
            logger.log_hyperparams(_made_of(config))


def log_outcome(config: DictConfig, run_dir: Path, loggers: Sequence[Logger]) -> None:
    """Log the headline metrics, their curves, and the confusion matrix of kinds, from an evaluated run folder.

    Args:
        config: The composed config.
        run_dir: The run folder.
        loggers: Loggers of the run.
    """
    metrics, step = read_metrics(run_dir), read_run_json(run_dir)["steps"]
    terms = Vocabulary.kept_in(metrics["about"])
    # The page shows the first five, so the metrics that compare runs come first.
    keys = [*_DECISIVE, *(key for key in HEADLINE if key not in _DECISIVE)]
    log_columns(config, loggers)
    log_metrics(loggers, {key: metrics[key] for key in keys if key in metrics}, step, terms)
    subset = metrics["about"]["subset"]
    confusion, curves = confusion_figure(run_dir, subset, terms), curves_of(run_dir)
    for logger in loggers:
        if isinstance(logger, RunLogger):
            logger.log_text("results", results_card(metrics), step)
            if confusion is not None:
                logger.log_figure(f"confusion_of_kinds/{subset}", confusion, step)
            for name, counts in curves.items():
                logger.log_curve(f"precision_recall_{subset}/{name}", counts, step)


def log_metrics(
    loggers: Sequence[Logger], metrics: Mapping[str, float], step: int, terms: Vocabulary = RADIOGRAPH
) -> None:
    """Log metrics that were computed after the training.

    Args:
        loggers: Loggers of the run.
        metrics: Metrics by key.
        step: Last step of the training.
        terms: Words of the run.
    """
    for logger in loggers:
        if isinstance(logger, RunLogger):
            logger.log_outcome(metrics, headline_words(terms), step)
        else:
            logger.log_metrics(dict(metrics), step)
        logger.save()


def confusion_figure(run_dir: Path, subset: str, terms: Vocabulary = RADIOGRAPH) -> figures.Figure | None:
    """Draw `confusion_of_kinds.csv` of an evaluation; None where no kind of window is known.

    Args:
        run_dir: Folder of the evaluation.
        subset: Split that was evaluated.
        terms: Words of the run.
    """
    if not is_there(file := run_dir / "confusion_of_kinds.csv"):
        return None
    table = read_table(file, {"kind_true": str}, dtype=None)
    counts = table.drop(columns="kind_true")
    true = [terms.fill(figures.NAMES[kind]) for kind in table["kind_true"]]
    title = f"kinds of patch, {subset} split: share of the true kind, and number"
    predicted = [terms.fill(_PREDICTED.get(str(name), str(name))) for name in counts.columns]
    return figures.confusion_matrix(counts.to_numpy(), true, predicted, title)


def curves_of(run_dir: Path) -> dict[str, np.ndarray]:
    """Read the curves of `precision_recall.csv` of an evaluation: name -> (4, T) counts; none without truth.

    Args:
        run_dir: Folder of the evaluation.
    """
    if not is_there(file := run_dir / "precision_recall.csv"):
        return {}
    columns = ("tp", "fp", "tn", "fn")
    table = read_table(file, {"key": str, **dict.fromkeys(columns, float)}, dtype=None)
    return {
        str(key).replace("/auroc", "_").rstrip("_").replace("__", "_"): rows[list(columns)].to_numpy(dtype=np.int64).T
        for key, rows in table.groupby("key", sort=False)
    }


def _made_of(config: DictConfig) -> dict[str, object]:
    """Hyper-parameters of a run: in a sweep the keys that vary, as the page has few columns, else a fixed selection."""
    if in_sweep():
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
