"""`pneumo-ad tune`: hyper-parameter search with Optuna; each trial is a run of `pneumo-ad train` in its own process."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from pneumo_ad.errors import ConfigError, DamagedError
from pneumo_ad.runs.command import Command

USAGE = """\
pneumo-ad tune experiment=hpo_unet [key=value] ...

Searches the space of a recipe (`tune:`) with Optuna, by a metric on validation. Each trial is a run of `pneumo-ad
train`; all lie in sweeps/<name>/<what was set> beside study.db. The same command continues a study that was stopped or
killed; several at once work on the same study.

  tune.trials=N           trials of all workers together
  tune.metric=KEY         any key of metrics.json;  tune.direction=minimize
  +tune.space.KEY=[A,B]   one more choice;  '+tune.space.KEY={{low:1,high:4}}' a range
  ~tune.space.KEY         leaves one out

Needs Optuna: pip install "pneumo_ad[tune]"
"""


def tune(arguments: str | Sequence[str] = (), **keywords: object) -> Path:
    """Search, as `pneumo-ad tune` does, until `tune.trials` trials of all workers have ended.

    Args:
        arguments: Arguments as for `train`, including a recipe with `tune`, for example `["experiment=hpo_unet"]`.
        keywords: Keys without a dot, as keyword arguments.

    Returns:
        Folder of the study, with `study.db` and a run folder for each trial.

    Raises:
        ConfigError: Optuna is missing, a recipe without `tune`, an unknown key, or a space that cannot be searched.
        DataError: The first trials all failed; gives the reason of the last.
    """
    given = COMMAND.parse(arguments, keywords)
    from importlib.util import find_spec

    if find_spec("optuna") is None:
        raise ConfigError('pneumo-ad tune needs Optuna: pip install "pneumo_ad[tune]"')
    from pneumo_ad.runs.compose import compose_config
    from pneumo_ad.runs.optuna_study import search

    return search(compose_config("train", given.overrides), given.overrides, _train)


def _train(overrides: Sequence[str], folder: Path, metric: str) -> float | str:
    """Train a run in its own process; return the metric, or the reason why there is none."""
    from pneumo_ad.metrics.metrics_json import read_metrics
    from pneumo_ad.runs.record import read_run_json

    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{folder.name}.log").open("ab") as output:
        # The pipe closes when this worker dies, which ends the trial; another worker continues it.
        command = [sys.executable, "-m", "pneumo_ad.commands.tune", *overrides]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT) as child:
            ended = child.wait()
    if ended:
        return read_run_json(folder).get("reason") or f"exit status {ended}, see {folder}.log"
    try:
        metrics = read_metrics(folder, "omitted")
    except DamagedError as reason:
        return str(reason)
    if metric not in metrics:
        why = metrics["about"]["omitted"].get(metric, f"there are {', '.join(key for key in metrics if '/' in key)}")
        return f"no {metric}: {why}"
    return float(metrics[metric])


def _try_one(overrides: Sequence[str]) -> None:
    """Run a trial in its own process, which ends with the worker that started it."""
    from pneumo_ad.runs.jobs import end_after

    end_after(lambda: os.read(0, 1))  # returns when the worker is gone
    sys.argv = ["pneumo-ad", "train", *overrides]
    runpy.run_module("pneumo_ad", run_name="__main__")


def _run(arguments: list[str]) -> None:
    import logging

    logging.basicConfig(level=logging.INFO, format="[%(asctime)s] %(message)s", datefmt="%H:%M:%S")
    tune(arguments)


COMMAND = Command(
    section="train",
    place=2,
    summary="search what a recipe leaves open",
    example="experiment=hpo_unet [tune.trials=N]",
    run=_run,
    usage=USAGE,
    config="train",
)

if __name__ == "__main__":
    _try_one(sys.argv[1:])
