"""`pneumo-ad cluster`: difference images clustered into three (§ 5.3), beside clusters of simpler features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pneumo_ad.runs.arguments import CHECKPOINT, RUN, SUBSET, Arguments, Key, path
from pneumo_ad.runs.command import Command

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


def cluster(arguments: str | Sequence[str] = (), **keywords: object) -> Path:
    """Cluster the difference images of a run, as `pneumo-ad cluster` does.

    Args:
        arguments: Arguments as on the command line.
        keywords: Keys without a dot, as keyword arguments.

    Returns:
        The folder that holds `clusters.json`, `clusters.csv` and `figures/`.

    Raises:
        ConfigError: No `run=`, an unknown key, an invalid override, or a subset that contains the data that clusters
            are fitted on.
        DataError: Not a run folder, or data that cannot be clustered.
    """
    given = COMMAND.parse(arguments, keywords)
    from pneumo_ad.evaluation.clusters import cluster_run
    from pneumo_ad.runs.run import default_output, load_run

    run = load_run(given["run"], given.overrides, given["checkpoint"])
    evaluation = default_output(run.folder, given.changes)
    return cluster_run(run, given["output"] or evaluation / "clusters", given["subset"], evaluation)


def _show(output: Path, given: Arguments) -> None:
    from pneumo_ad.evaluation.clusters import print_clusters

    print_clusters(output, f"clusters of {given['run']}")


COMMAND = Command(
    section="look",
    place=5,
    summary="cluster a run's difference images into three",
    example="run=RUN [data=... data.root=...] [output=DIR]",
    run=cluster,
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
