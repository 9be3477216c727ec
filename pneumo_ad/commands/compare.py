"""`pneumo-ad compare`: the leaderboard of a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from pneumo_ad.errors import ConfigError
from pneumo_ad.runs.arguments import CHECKPOINT, SUBSET, Arguments, Key, expanded, path
from pneumo_ad.runs.command import Command

if TYPE_CHECKING:
    from pneumo_ad.leaderboard.groups import Comparison

USAGE = """\
pneumo-ad compare SWEEP_DIR [key=value] ...

Measures the runs below a folder on the same pixels of the same radiographs, groups those that differ in the seed alone,
and writes leaderboard.csv, groups.csv and figures/. Failed and unfinished runs are listed with their reason.

{keys}

With keys of `pneumo-ad evaluate`, every finished run is first evaluated with them, unless it already is:

  data=GROUP data.root=DIR   {data}
  score=GROUP stride=N trainer=GROUP ...
"""


def compare(arguments: str | PathLike[str] | Sequence[str] = (), **keywords: object) -> Comparison:
    """Compare the runs of a sweep, as `pneumo-ad compare` does.

    Args:
        arguments: Arguments as on the command line, for example `["sweeps/paper/default", "sort=image/auroc"]`.
        keywords: Keys without a dot, as keyword arguments: `sort="image/auroc"`.

    Returns:
        The comparison; `leaderboard.csv`, `groups.csv` and `figures/` lie in its `output`.

    Raises:
        ConfigError: No folder or several, or an unknown key, metric or reference.
        DataError: The folder holds no run, or no run can be evaluated on the data asked for.
    """
    given = COMMAND.parse(arguments, keywords)
    if len(given.names) != 1:
        names = ", ".join(given.names) or "none"
        raise ConfigError(f"one folder of runs must be given, got {names}: pneumo-ad compare sweeps/paper/2026-01-31")
    from pneumo_ad.leaderboard.compare import compare_runs

    sweep = Path(expanded(given.names[0]))
    return compare_runs(sweep, given.changes, given["sort"], given["reference"], given["output"])


def _show(found: Comparison, _: Arguments) -> None:
    from pneumo_ad.leaderboard.table import print_comparison

    print_comparison(found)


COMMAND = Command(
    section="look",
    place=4,
    summary="the leaderboard of a sweep",
    example="SWEEP_DIR [sort=METRIC] [reference=patch=32]",
    run=compare,
    show=_show,
    usage=USAGE,
    keys=(
        Key(
            "sort",
            "a column of leaderboard.csv (default: same_pixels/auroc_in_lung, or image/auroc without masks)",
            "METRIC",
            default="",
        ),
        Key(
            "reference",
            "the group to subtract in differences, for example patch=32,net=unet (default: that of the\n"
            "recipe's defaults, or the first)",
            "KEY=VALUE",
            default="",
        ),
        Key(
            "output",
            "where to write (default: SWEEP_DIR/comparison, or SWEEP_DIR/comparison-<what was changed>)",
            "DIR",
            path,
        ),
        SUBSET,
        CHECKPOINT,
    ),
    config="train",
    takes_names=True,
)
