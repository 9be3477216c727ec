"""`pneumo-ad cluster`: difference images clustered into three (§ 5.3), beside clusters of simpler features."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pneumo_ad.runs.arguments import CHECKPOINT, RUN, SUBSET, Arguments, Key, Overrides, Place, Subset, path
from pneumo_ad.runs.command import Command, typed

if TYPE_CHECKING:
    from pneumo_ad.runs.run import Run

USAGE = """\
pneumo-ad cluster run=RUN [key=value] ...

Clusters the difference images of a run into three, without labels, and where masks exist scores the clusters against
the true kinds of patch, beside clusters of the patches themselves, of SAD and of brightness. Fitted on validation
pneumonia radiographs of the run's own data, applied to its test split or to other data. Writes clusters.json,
clusters.csv and figures/.

{keys}

Everything the weights do not depend on may change, as on `pneumo-ad evaluate`:

  data=GROUP data.root=DIR   {data}
  stride=N cover=full        other windows
  trainer=GROUP              {trainer}
"""


@typed
def cluster(
    run: Place | Run,
    overrides: Overrides = (),
    *,
    output: Place | None = None,
    subset: Subset | None = None,
    checkpoint: str | None = None,
) -> Path:
    """Cluster the difference images of a run, as `pneumo-ad cluster` does.

    Args:
        run: Run folder, or an opened run with the overrides it was opened with.
        overrides: Changes to the run's config, for example `{"stride": 4}`.
        output: Folder to write to; default: `clusters` in the folder where `evaluate` writes.
        subset: Split to cluster; default: test of the run's own data, all of other data.
        checkpoint: `best`, `last` or a file; default: the best, or that of the opened run.

    Returns:
        The folder that holds `clusters.json`, `clusters.csv` and `figures/`.

    Raises:
        ConfigError: An unknown or invalid argument or override, or a subset that contains the data that clusters
            are fitted on.
        DataError: Not a run folder, or data that cannot be clustered.
    """
    given = COMMAND.read(locals())
    from pneumo_ad.evaluation.clusters import cluster_run
    from pneumo_ad.runs.run import open_run, place_of_evaluation

    opened = open_run(given["run"], given.overrides, given["checkpoint"])
    evaluation = place_of_evaluation(opened, given["subset"])
    return cluster_run(opened, given["output"] or evaluation / "clusters", given["subset"], evaluation)


def _show(output: Path, given: Arguments) -> None:
    from pneumo_ad.evaluation.clusters import print_clusters

    print_clusters(output, f"clusters of {given['run']}")


COMMAND = Command(
    section="look",
    place=5,
    summary="cluster a run's difference images into three",
    example="run=RUN [data=... data.root=...] [output=DIR]",
    call=cluster,
    show=_show,
    usage=USAGE,
    keys=(
        RUN,
        Key(
            "output", "where to write (default: clusters/ in the folder where `pneumo-ad evaluate` writes)", "DIR", path
        ),
        replace(SUBSET, help="test (default) or train; of other data also val or all (default there)"),
        CHECKPOINT,
    ),
    config="train",
)
