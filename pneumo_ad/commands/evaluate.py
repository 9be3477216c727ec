"""`pneumo-ad evaluate`: metrics of a trained run, beside those of scores that need no model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pneumo_ad.runs.arguments import CALIBRATE, CHECKPOINT, RUN_OR_SHIPPED, SUBSET, Arguments, Key, path
from pneumo_ad.runs.command import Command
from pneumo_ad.runs.evaluation_options import option_help

_PATIENCE = 10  # seconds to wait for another process to release the folder

USAGE = """\
pneumo-ad evaluate [run=RUN] [key=value] ...

Scores every window of the run's test split, or of other data, and writes metrics.json, shortcuts.json, patches.csv,
images.csv, subgroups.csv, maps/ and figures/. Beside every AUROC stand those of scores that need no model. With
calibrate=DIR, normal radiographs of the data's own site, none of which is evaluated, take the place of the run's
held-out normals.

{keys}

Everything the weights do not depend on may change, as on `pneumo-ad train`:

  data=GROUP data.root=DIR   {data}
{options}
"""


def evaluate(arguments: str | Sequence[str] = (), **keywords: object) -> Path:
    """Measure a run, as `pneumo-ad evaluate` does.

    Args:
        arguments: Arguments as on the command line, for example `["run=runs/paper/1", "stride=4"]`.
        keywords: Keys without a dot, as keyword arguments: `run="runs/paper/1", output="out"`.

    Returns:
        The folder that holds `metrics.json`, `patches.csv`, `images.csv`, `maps/` and `figures/`.

    Raises:
        ConfigError: No `run=`, an unknown key, or an invalid override.
        DataError: A run folder without checkpoint, data that cannot be evaluated, or normals of `calibrate=` that are
            too few or also in the evaluated data.
        BusyError: Another process writes to the same folder.
    """
    given = COMMAND.parse(arguments, keywords)
    from pneumo_ad.evaluation.evaluate import evaluate_run
    from pneumo_ad.files import folder_for_results
    from pneumo_ad.runs.jobs import lock
    from pneumo_ad.runs.run import default_output, load_run

    run = load_run(given["run"], given.overrides, given["checkpoint"])
    place = given["output"] or default_output(run.folder, given.changes)
    with folder_for_results(place) as output, lock(output, wait=_PATIENCE):
        return evaluate_run(run, output, given["subset"], given["calibrate"])


def _show(output: Path, given: Arguments) -> None:
    from pneumo_ad.evaluation.summary import print_evaluation
    from pneumo_ad.runs.shipped import in_words

    print_evaluation(output, f"evaluation of {in_words(given['run'])}")


COMMAND = Command(
    section="look",
    place=1,
    summary="measure a trained run, on its own or on other data",
    example="[run=RUN] [data=... data.root=...] [output=DIR]",
    run=evaluate,
    show=_show,
    usage=USAGE.replace("{options}", option_help()),
    keys=(
        RUN_OR_SHIPPED,
        Key("output", "where to write (default: the run folder, or its evaluations/<what was changed>)", "DIR", path),
        SUBSET,
        CALIBRATE,
        CHECKPOINT,
    ),
    config="train",
)
