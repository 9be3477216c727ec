"""Evaluation and joint measurement of the runs of a sweep, written as a leaderboard."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from pneumo_ad.errors import DamagedError, DataError, UserError
from pneumo_ad.evaluation.evaluate import evaluate_run
from pneumo_ad.files import write_csv, write_text
from pneumo_ad.leaderboard.drawing import draw_comparison
from pneumo_ad.leaderboard.gather import SweptRun, read_sweep
from pneumo_ad.leaderboard.groups import Comparison, check_evaluated, choose_sort, measure_runs, rank
from pneumo_ad.leaderboard.table import as_markdown, print_comparison
from pneumo_ad.runs.jobs import lock
from pneumo_ad.runs.record import Status
from pneumo_ad.runs.run import default_output, load_run
from pneumo_ad.runs.sweeps import folder_name
from pneumo_ad.saved import is_there

log = logging.getLogger(__name__)

_WHOLE = "leaderboard.md"  # written last: where it lies, a comparison is whole
_PATIENCE = 600  # seconds to wait for another comparison that evaluates the same run


def compare_runs(
    sweep: Path,
    overrides: Sequence[str] = (),
    sort: str = "",
    reference: str = "",
    output: Path | None = None,
    chosen: Sequence[Path] = (),
) -> Comparison:
    """Compare the runs below a folder.

    Args:
        sweep: Folder of the sweep.
        overrides: Overrides that `pneumo-ad evaluate` takes, `key=value`, also `subset=` and `checkpoint=`.
        sort: Column of `leaderboard.csv` to sort by; empty for the default.
        reference: Group to subtract in differences, `key=value,...`; empty for the default.
        output: Folder to write to; None for one below the sweep.
        chosen: Run folders below the sweep's; default: all runs one or two levels below it.

    Returns:
        The comparison; `leaderboard.csv`, `groups.csv` and `figures/` lie in its `folder`.

    Raises:
        ConfigError: An unknown metric or reference.
        DataError: The folder holds no run, or no run can be evaluated on the data asked for.
    """
    runs = read_sweep(sweep, chosen)
    evaluations, notes = evaluate_all(runs, overrides)
    runs = _without_damaged(runs, evaluations)
    named = [*overrides, *(run.name for run in runs if chosen)]
    beside = f"comparison-{folder_name(named)}" if named else "comparison"
    comparison = Comparison(sweep, output or sweep / beside, runs, evaluations, pd.DataFrame(), notes=notes)
    measure_runs(comparison, overrides)
    comparison.sort = choose_sort(comparison, sort)
    rank(comparison, reference, overrides)
    rank_of = {name: number for number, group in enumerate(comparison.groups) for name in group.runs}
    order = comparison.rows["run"].map(rank_of).argsort(kind="stable")  # unranked runs last
    comparison.rows = comparison.rows.iloc[order].reset_index(drop=True)
    comparison.folder.mkdir(parents=True, exist_ok=True)
    (comparison.folder / _WHOLE).unlink(missing_ok=True)
    if comparison.groups:
        draw_comparison(comparison, overrides)
    write_leaderboard(comparison)
    return comparison


def show_leaderboard(sweep: Path) -> None:
    """Print the leaderboard of a sweep as `pneumo-ad compare` does, or why there is none.

    Args:
        sweep: Folder of the sweep.
    """
    try:
        print_comparison(compare_runs(sweep))
    except UserError as reason:
        print(f"no leaderboard: {reason}")


def evaluate_all(runs: Sequence[SweptRun], overrides: Sequence[str]) -> tuple[dict[str, Path], list[str]]:
    """Evaluate the finished runs that have no current evaluation, on their own or on other data.

    Args:
        runs: Runs of the sweep.
        overrides: Overrides from the command line, `key=value`.

    Returns:
        Name of the run -> folder of its evaluation; and a sentence for each run that cannot be evaluated.

    Raises:
        DataError: No run can be evaluated on the data asked for.
    """
    settings = dict(override.split("=", 1) for override in overrides if override.startswith(("subset=", "checkpoint=")))
    changes = [override for override in overrides if not override.startswith(("subset=", "checkpoint="))]
    finished = [run for run in runs if run.status.word == "finished"]
    places: dict[str, Path] = {}
    notes: list[str] = []
    for number, run in enumerate(finished, start=1):
        place = default_output(run.folder, overrides)
        if not _evaluated(run.folder, place):
            log.info("evaluating run %d of %d: %s", number, len(finished), run.name)
            try:
                with lock(place, wait=_PATIENCE):
                    if not _evaluated(run.folder, place):  # not done by another process meanwhile
                        opened = load_run(run.folder, changes, settings.get("checkpoint", "best"))
                        evaluate_run(opened, place, settings.get("subset"))
            except UserError as reason:
                notes.append(f"{run.name} finished, but cannot be evaluated: {reason}")
                if not all((place / name).is_file() for name in ("metrics.json", "images.csv", "patches.csv")):
                    continue
        places[run.name] = place
    if overrides and finished and not places:
        raise DataError(notes[0])
    return places, notes


def _without_damaged(runs: Sequence[SweptRun], evaluations: dict[str, Path]) -> list[SweptRun]:
    """Mark runs whose evaluation cannot be read as failed, and remove them from `evaluations`."""
    checked = []
    for run in runs:
        try:
            if run.name in evaluations:
                check_evaluated(evaluations[run.name])
        except DamagedError as reason:
            del evaluations[run.name]
            run = replace(run, status=Status("failed", str(reason)))
            log.warning("%s; that run is left out", reason)
        checked.append(run)
    return checked


def _evaluated(folder: Path, place: Path) -> bool:
    """Whether an evaluation is complete and no older than the weights."""
    metrics = place / "metrics.json"
    if not is_there(metrics) or not is_there(place / "maps" / "images.csv"):
        return False
    weights = max((file.lstat().st_mtime for file in folder.glob("checkpoints/best.ckpt")), default=0)
    return metrics.lstat().st_mtime >= weights


def write_leaderboard(found: Comparison) -> None:
    """Write `leaderboard.csv`, a row per run, `groups.csv`, a row per group, and `leaderboard.md`, which comes last."""
    write_csv(found.folder / "leaderboard.csv", found.rows)
    write_csv(found.folder / "groups.csv", found.leaderboard)
    write_text(found.folder / _WHOLE, as_markdown(found))
