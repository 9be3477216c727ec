"""`pneumo-ad evaluate`: metrics of a trained run, beside those of scores that need no model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pneumo_ad.runs.arguments import (
    CALIBRATE,
    CHECKPOINT,
    RUN_OR_SHIPPED,
    SUBSET,
    Arguments,
    Key,
    Overrides,
    Place,
    Subset,
    path,
    switch,
)
from pneumo_ad.runs.command import Command, typed
from pneumo_ad.runs.evaluation_options import option_help
from pneumo_ad.runs.shipped import SHIPPED

if TYPE_CHECKING:
    from pneumo_ad.evaluation.evaluation import Evaluation
    from pneumo_ad.runs.run import Run

_PATIENCE = 10  # seconds to wait for another process to release the folder
_SHOWN = 50  # radiographs in the report

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


@typed
def evaluate(
    run: Place | Run = SHIPPED,
    overrides: Overrides = (),
    *,
    output: Place | None = None,
    subset: Subset | None = None,
    calibrate: Place | None = None,
    checkpoint: str | None = None,
    report: bool = False,
) -> Evaluation:
    """Measure a run, as `pneumo-ad evaluate` does.

    Args:
        run: Run folder, or an opened run with the overrides it was opened with; default: the detector that ships.
        overrides: Changes to the run's config, for example `["data=masks", "data.root=/radiographs", "stride=4"]`, or
            `{"stride": 4}`.
        output: Folder to write to; default: the run folder, or its `evaluations/<what was changed>`.
        subset: Split to evaluate; default: test of the run's own data, all of other data.
        calibrate: Folder of 20 or more normal radiographs of the data's own site, in place of the run's held-out
            normals.
        checkpoint: `best`, `last` or a file; default: the best, or that of the opened run.
        report: Whether `report.html` is written, too.

    Returns:
        Metrics and tables of the evaluation, read from its folder when they are asked for.

    Raises:
        ConfigError: An unknown or invalid argument or override.
        DataError: A run folder without checkpoint, data that cannot be evaluated, or normals of `calibrate` that are
            too few or also in the evaluated data.
        BusyError: Another process writes to the same folder.

    Example:
        `evaluate("runs/paper/1", {"stride": 4}).metrics["image/auroc"]`
    """
    given = COMMAND.read(locals())
    from pneumo_ad.evaluation.evaluate import evaluate_run
    from pneumo_ad.evaluation.evaluation import REPORT, Evaluation
    from pneumo_ad.evaluation.report import page_of
    from pneumo_ad.files import folder_for_results
    from pneumo_ad.report.write import write_report
    from pneumo_ad.runs.jobs import lock
    from pneumo_ad.runs.run import open_run, place_of_evaluation

    opened = open_run(given["run"], given.overrides, given["checkpoint"])
    place = given["output"] or place_of_evaluation(opened, given["subset"], given["calibrate"])
    with folder_for_results(place) as folder, lock(folder, wait=_PATIENCE):
        evaluate_run(opened, folder, given["subset"], given["calibrate"])
        if given["report"]:
            write_report(page_of(opened, folder, given["subset"], _SHOWN), folder / REPORT)
    return Evaluation(folder)


def _show(found: Evaluation, given: Arguments) -> None:
    from pneumo_ad.evaluation.summary import print_evaluation
    from pneumo_ad.runs.shipped import in_words

    print_evaluation(found.folder, f"evaluation of {in_words(given['run'])}")


COMMAND = Command(
    section="look",
    place=1,
    summary="measure a trained run, on its own or on other data",
    example="[run=RUN] [data=... data.root=...] [output=DIR]",
    call=evaluate,
    show=_show,
    usage=USAGE.replace("{options}", option_help()),
    keys=(
        RUN_OR_SHIPPED,
        Key("output", "where to write (default: the run folder, or its evaluations/<what was changed>)", "DIR", path),
        SUBSET,
        CALIBRATE,
        CHECKPOINT,
        Key("report", "also report.html, which `pneumo-ad report` writes of what is evaluated", "true", switch, False),
    ),
    config="train",
)
