"""Hyper-parameter search over the space of a recipe, with Optuna.

The study is a file beside its runs. The same command continues it; several commands at once share it as workers. A
worker is alive while its process holds a lock. Optuna's heartbeat with retry of stale trials is not used: after a kill
it waits for a grace period, and a worker suspended for longer loses its trial to another and fails when it resumes.
Hydra's Optuna sweeper is not used either: 1.3 requires a version of Optuna whose storage no longer works, 1.4 requires
Hydra 1.4, and neither repeats a killed trial.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock, Timeout
from omegaconf import DictConfig, OmegaConf
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState

from pneumo_ad.errors import ConfigError, DamagedError, DataError
from pneumo_ad.runs.record import status
from pneumo_ad.runs.sweeps import folder_name
from pneumo_ad.saved import GIB, in_a_line, is_there, opened

log = logging.getLogger(__name__)

Trial = Callable[[Sequence[str], Path, str], float | str]  # (overrides, folder, metric) -> value, or why there is none

_HOPELESS = 3  # failures that end a worker without a success: their cause is hardly the parameters


def search(config: DictConfig, overrides: Sequence[str], train: Trial) -> Path:
    """Run trials until `tune.trials` trials of all workers have ended.

    Args:
        config: Config of a recipe with `tune`.
        overrides: Overrides that the config was composed from.
        train: Function that trains a run in a folder and returns its metric, or the reason why there is none.

    Returns:
        Folder of the study, with `study.db` and a run folder for each trial.

    Raises:
        ConfigError: A recipe without `tune`, or a space that cannot be searched.
        DataError: The first trials all failed; gives the reason of the last.
    """
    wanted = _checked(config)
    space = distributions(OmegaConf.to_container(wanted.space))
    fixed = [one for one in overrides if not one.startswith(("experiment=", "name=", "tune.trials="))]
    folder = Path("sweeps") / config.name / (folder_name(fixed) if fixed else "default")
    folder.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = _open_study(folder / "study.db", config.name, wanted.direction)
    _keep_question(study, {"metric": wanted.metric, "direction": wanted.direction, "space": space}, folder)
    worker = folder / "workers" / uuid.uuid4().hex
    worker.parent.mkdir(exist_ok=True)
    with FileLock(worker):  # held while this process lives: other workers do not take over its trial
        _work(study, wanted, space, list(overrides), folder, worker.name, train)
    _report(study, wanted, folder)
    return folder


def _open_study(file: Path, name: str, direction: Any) -> optuna.Study:
    """Open the study of a file, or create it.

    Raises:
        DamagedError: The file is no study.
    """
    if is_there(file):
        with opened(file, 64 * GIB):
            pass
    try:
        return optuna.create_study(
            storage=f"sqlite:///{file}", study_name=name, direction=direction, load_if_exists=True
        )
    except Exception as reason:  # Optuna passes on SQLAlchemy's errors
        raise DamagedError(f"{file}: no study that Optuna can go on with ({in_a_line(reason)})") from reason


def _checked(config: DictConfig) -> DictConfig:
    """Check the node `tune` of a config and return it."""
    if config.tune is None:
        raise ConfigError("nothing says what to tune: take a recipe that does (experiment=hpo_unet), or write `tune:`")
    if config.evaluate != "val":
        raise ConfigError(f"evaluate={config.evaluate}: a search chooses on validation, evaluate=val")
    if config.tune.direction not in ("maximize", "minimize"):
        raise ConfigError(f"tune.direction={config.tune.direction} is not known; expected maximize or minimize")
    if not isinstance(config.tune.trials, int) or config.tune.trials < 1:
        raise ConfigError(f"tune.trials={config.tune.trials} must be a whole number, at least 1")
    return config.tune


def _keep_question(study: optuna.Study, asked: dict[str, Any], folder: Path) -> None:
    """Record metric, direction and space of a study; refuse other ones, whose values are not comparable."""
    now = {key: repr(value) for key, value in asked.items()}
    before = study.user_attrs.get("asked")
    if before is not None and not isinstance(before, dict):
        raise DamagedError(f"{folder / 'study.db'}: what was asked is {str(before)[:40]!r}, expected a mapping")
    if before is None:
        study.set_user_attr("asked", now)
    elif before != now:
        changed = "; ".join(f"{key}: {before.get(key)} -> {now[key]}" for key in now if before.get(key) != now[key])
        raise ConfigError(
            f"{folder} holds a search with other settings ({changed}); give this one its own name: name=..."
        )


def distributions(space: Any, prefix: str = "") -> dict[str, BaseDistribution]:
    """Convert a search space to Optuna's distributions, by dotted key.

    Args:
        space: Search space, nested as the config is. A list is a choice; `low` and `high` are a range, of whole numbers
            if both are whole; `log: true` makes it logarithmic.
        prefix: Dotted key of `space`.

    Raises:
        ConfigError: An entry has none of these forms; names its key.

    >>> distributions({"net": {"width": [8, 16]}})
    {'net.width': CategoricalDistribution(choices=(8, 16))}
    """
    try:
        if isinstance(space, list):
            return {prefix: CategoricalDistribution(space)}
        if "low" in space or "high" in space:
            whole = isinstance(space["low"], int) and isinstance(space["high"], int)
            return {prefix: (IntDistribution if whole else FloatDistribution)(**space)}
        nested = (distributions(node, f"{prefix}.{key}".strip(".")) for key, node in space.items())
        return {key: one for part in nested for key, one in part.items()}
    except (TypeError, KeyError, ValueError, AttributeError) as reason:
        raise ConfigError(
            f"tune.space.{prefix}={space}: expected a list of choices, or low and high (and log: true) ({reason})"
        ) from reason


def _work(
    study: optuna.Study,
    wanted: DictConfig,
    space: Mapping[str, BaseDistribution],
    overrides: list[str],
    folder: Path,
    worker: str,
    train: Trial,
) -> None:
    failed, works = 0, False
    while True:
        with FileLock(folder / ".ask"):  # one worker at a time, or two could take the same trial
            _take_over(study, folder)
            ended = _ended(study)
            going_on = len(study.get_trials(deepcopy=False, states=[TrialState.RUNNING]))
            if ended + going_on >= wanted.trials:
                break
            # The seed depends on the trial: with a common seed all workers would try the same parameters.
            study.sampler = optuna.samplers.TPESampler(seed=len(study.trials), constant_liar=True)
            trial = study.ask(dict(space))
            chosen = [f"{key}={'null' if value is None else value}" for key, value in trial.params.items()]
            run = folder / folder_name(chosen)
            twin = status(run).word == "running"  # another trial has the same parameters
            trial.set_user_attr("worker", worker)
            trial.set_user_attr("folder", run.name)
            if twin:
                study.tell(trial, state=TrialState.PRUNED)
        if twin:
            time.sleep(1)
            continue
        log.info("trial %d (%d of %d ended): %s", trial.number, ended, wanted.trials, run.name)
        value = train([*overrides, *chosen, f"hydra.run.dir='{run}'", "hydra.mode=RUN"], run, wanted.metric)
        if isinstance(value, float):
            study.tell(trial, value)
            works = True
            log.info("  %s = %.4f", wanted.metric, value)
            continue
        trial.set_user_attr("reason", value)
        study.tell(trial, state=TrialState.FAIL)
        failed += 1
        log.warning("  failed: %s", value)
        if failed >= _HOPELESS and not works:
            raise DataError(f"the first {failed} trials failed; the last: {value}")


def _ended(study: optuna.Study) -> int:
    """Count the trials that completed or failed; a killed trial counts once, through its continuation."""
    trials = study.get_trials(deepcopy=False)
    killed = {trial.user_attrs.get("goes_on_with") for trial in trials}
    return sum(trial.state in (TrialState.COMPLETE, TrialState.FAIL) and trial.number not in killed for trial in trials)


def _take_over(study: optuna.Study, folder: Path) -> None:
    """Enqueue the trials of killed workers again; their runs continue from their checkpoints."""
    for trial in study.get_trials(states=[TrialState.RUNNING]):
        if not _alive(trial, folder):
            log.info("trial %d was killed; it goes on", trial.number)
            study.enqueue_trial(trial.params, user_attrs={"goes_on_with": trial.number})
            study.tell(trial.number, state=TrialState.FAIL)


def _alive(trial: FrozenTrial, folder: Path) -> bool:
    """Whether the trial's worker lives; one that died before it recorded its name counts as dead."""
    try:
        with FileLock(folder / "workers" / trial.user_attrs.get("worker", "nobody"), timeout=0):
            return False
    except Timeout:
        return True


def _report(study: optuna.Study, wanted: DictConfig, folder: Path) -> None:
    if not study.get_trials(states=[TrialState.COMPLETE]):
        raise DataError(f"all {_ended(study)} trials failed; the last: {study.trials[-1].user_attrs.get('reason')}")
    best = study.best_trial
    run = folder / str(best.user_attrs.get("folder"))
    print(f"best of {_ended(study)} trials, {wanted.metric} = {best.value:.4f}: {best.params}")
    print(f"measured on validation, where it was chosen; on the test split: pneumo-ad evaluate 'run={run}' subset=test")
    print(f"leaderboard: pneumo-ad compare {folder}")
