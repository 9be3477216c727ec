"""`pneumo-ad evaluate`: what a trained run finds, with every figure beside those of scores that need no model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pneumo_ad.evaluation.evaluate import evaluate_run
from pneumo_ad.files import folder_for_results
from pneumo_ad.runs.jobs import lock
from pneumo_ad.runs.run import default_output, load_run, of_run

_PATIENCE = 10  # seconds that another process may take to leave the folder


def evaluate(overrides: Sequence[str]) -> Path:
    """The command. `run=RUN` and optionally `output=DIR`, `subset=`, `checkpoint=`, and overrides of the run's config.

    Returns:
        The folder that holds `metrics.json`, `patches.csv`, `images.csv`, `maps/` and `figures/`.

    Raises:
        ConfigError: No `run=`, or an override that cannot be applied.
        DataError: A run folder without checkpoint, or data that cannot be evaluated.
        BusyError: Another process writes to the same folder.
    """
    own, rest = of_run(overrides, "evaluate", subset="", checkpoint="best")
    run = load_run(own["run"], rest, own["checkpoint"])
    place = Path(own["output"] or default_output(run.folder, overrides))
    with folder_for_results(place) as output, lock(output, wait=_PATIENCE):
        return evaluate_run(run, output, own["subset"] or None)
