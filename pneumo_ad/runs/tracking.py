"""Logging of a run's config and results to its loggers, beside the losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from omegaconf import DictConfig, OmegaConf

from pneumo_ad.loggers.tensorboard import write_hparams
from pneumo_ad.metrics.catalogue import HEADLINE
from pneumo_ad.metrics.metrics_json import read_metrics
from pneumo_ad.runs.evaluation_options import option_names
from pneumo_ad.runs.jobs import in_sweep
from pneumo_ad.runs.record import flatten, read_run_json

_DECISIVE = (
    "pixel/auroc_in_lung", "patch/auroc_outside_vs_healthy", "patch/auroc_opacity_vs_healthy", "image/auroc",
)  # fmt: skip
# Hyper-parameters in TensorBoard's table of runs.
_VARIED = ("seed", *option_names(windows=True), "batch_size", "per_epoch", "net", "corruption", "loss", "score")


def log_config(config: DictConfig, loggers: Sequence[Logger]) -> None:
    """Log the config to trackers, by dotted key; TensorBoard gets it with the results, csv lies beside the config.

    Args:
        config: The composed config.
        loggers: Loggers of the run.
    """
    shown = config.copy()
    shown.run_dir = "."  # logged parameters cannot change, and the folder may move before a run resumes
    plain = OmegaConf.to_container(shown, resolve=True)
    assert isinstance(plain, dict)
    params = flatten(
        {key: value for key, value in plain.items() if key not in ("run_dir", "sweep", "tune", "evaluation")}
    )
    for logger in loggers:
        if not isinstance(logger, (TensorBoardLogger, CSVLogger)):
            logger.log_hyperparams(params)


def log_outcome(config: DictConfig, run_dir: Path, loggers: Sequence[Logger]) -> None:
    """Log the headline metrics; to TensorBoard together with the hyper-parameters, for its HParams page.

    Args:
        config: The composed config.
        run_dir: The run folder.
        loggers: Loggers of the run.
    """
    metrics = read_metrics(run_dir)
    # The page shows the first five, so the metrics that compare runs come first.
    keys = [*_DECISIVE, *(key for key in HEADLINE if key not in _DECISIVE)]
    reached = {key: metrics[key] for key in keys if key in metrics}
    boards = [logger for logger in loggers if isinstance(logger, TensorBoardLogger)]
    for board in boards:
        write_hparams(Path(board.log_dir), _made_of(config), reached)
    log_metrics([logger for logger in loggers if logger not in boards], reached, read_run_json(run_dir)["steps"])


def log_metrics(loggers: Sequence[Logger], metrics: Mapping[str, float], step: int) -> None:
    """Log metrics that were computed after the training.

    Args:
        loggers: Loggers of the run.
        metrics: Metrics by key.
        step: Last step of the training.
    """
    for logger in loggers:
        logger.log_metrics(dict(metrics), step)
        logger.save()


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
