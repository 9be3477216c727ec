"""`pneumo-ad compare`: the leaderboard of a sweep."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pneumo_ad.errors import ConfigError
from pneumo_ad.runs.arguments import CHECKPOINT, SUBSET, Arguments, Key, Overrides, Place, Subset, expanded, path
from pneumo_ad.runs.command import Command, typed

if TYPE_CHECKING:
    from pneumo_ad.leaderboard.groups import Comparison
    from pneumo_ad.runs.run import Run

USAGE = """\
pneumo-ad compare SWEEP_DIR [key=value] ...

Measures the runs below a folder on the same pixels of the same radiographs, groups those that differ in the seed alone,
and writes leaderboard.csv, groups.csv and figures/. Failed and unfinished runs are listed with their reason.

{keys}

With keys of `pneumo-ad evaluate`, every finished run is first evaluated with them, unless it already is:

  data=GROUP data.root=DIR   {data}
  score=GROUP stride=N trainer=GROUP ...
"""


@typed
def compare(
    sweep: Place | Sequence[Place | Run],
    overrides: Overrides = (),
    *,
    sort: str = "",
    reference: str = "",
    output: Place | None = None,
    subset: Subset | None = None,
    checkpoint: str | None = None,
) -> Comparison:
    """Compare the runs of a sweep, as `pneumo-ad compare` does.

    Args:
        sweep: Folder with the runs one or two levels below it; or runs, as folders or opened.
        overrides: Changes to the config of every run, for example `["data=masks", "data.root=/radiographs"]`; every
            finished run is then evaluated with them, unless it already is.
        sort: Column of the leaderboard to sort by; default: `same_pixels/auroc_in_lung`, or `image/auroc` without
            masks.
        reference: Group to subtract in differences, for example `patch=32,net=unet`; default: that of the recipe's
            defaults, or the first.
        output: Folder to write to; default: `comparison` below the sweep, or `comparison-<what was changed>`.
        subset: Split to evaluate; default: test of the runs' own data, all of other data.
        checkpoint: `best` (default), `last` or a file.

    Returns:
        The comparison, with its `leaderboard`, a row per group of replicates with interval and paired difference, and
        its `rows`, one per run; `leaderboard.csv`, `groups.csv` and `figures/` lie in its `folder`.

    Raises:
        ConfigError: An unknown or invalid argument, override, metric or reference.
        DataError: The folder holds no run, or no run can be evaluated on the data asked for.

    Example:
        `compare("sweeps/paper/default", sort="image/auroc").leaderboard`
    """
    given = COMMAND.read(locals())
    from pneumo_ad.leaderboard.compare import compare_runs

    chosen: list[Path] = []
    if isinstance(sweep, str | os.PathLike):
        place = Path(expanded(os.fspath(sweep)))
    else:
        chosen = [_folder(run) for run in sweep]
        if len(chosen) < 2:
            raise ConfigError(f"two runs or more must be given to compare, got {len(chosen)}")
        place = Path(os.path.commonpath([folder.absolute().parent for folder in chosen]))
        chosen = [folder.absolute() for folder in chosen]
    return compare_runs(place, given.changes, given["sort"], given["reference"], given["output"], chosen)


def _folder(run: Place | Run) -> Path:
    """Return the folder of a run, whose evaluations are made of its saved config."""
    if isinstance(run, str | os.PathLike):
        return Path(expanded(os.fspath(run)))
    if changes := getattr(run, "changes", ()):
        raise ConfigError(f"{run.folder} was opened with {', '.join(changes)}; give compare what holds for all runs")
    return run.folder


def _show(found: Comparison, _: Arguments) -> None:
    from pneumo_ad.leaderboard.table import print_comparison

    print_comparison(found)


COMMAND = Command(
    section="look",
    place=4,
    summary="the leaderboard of a sweep",
    example="SWEEP_DIR [sort=METRIC] [reference=patch=32]",
    call=compare,
    show=_show,
    usage=USAGE,
    keys=(
        Key(
            "sort",
            "a column of leaderboard.csv (default: same_pixels/auroc_in_lung, or image/auroc without masks)",
            "METRIC",
        ),
        Key(
            "reference",
            "the group to subtract in differences, for example patch=32,net=unet (default: that of the\n"
            "recipe's defaults, or the first)",
            "KEY=VALUE",
        ),
        Key(
            "output",
            "where to write (default: SWEEP_DIR/comparison, or SWEEP_DIR/comparison-<what was changed>)",
            "DIR",
            path,
        ),
        CHECKPOINT,
        SUBSET,
    ),
    config="train",
    name=("sweep", "one folder of runs must be given, got {}: pneumo-ad compare sweeps/paper/2026-01-31"),
)
