"""`pneumo-ad report`: an evaluated run as one HTML file, its histogram linked to the radiographs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pneumo_ad.errors import ConfigError
from pneumo_ad.runs.arguments import (
    CHECKPOINT,
    RUN_OR_SHIPPED,
    SUBSET,
    Arguments,
    Key,
    Overrides,
    Place,
    Subset,
    path,
    whole,
)
from pneumo_ad.runs.command import Command, typed
from pneumo_ad.runs.shipped import SHIPPED

if TYPE_CHECKING:
    from pneumo_ad.runs.run import Run

USAGE = """\
pneumo-ad report [run=RUN] [key=value] ...

Writes one HTML file that opens offline: maps laid over radiographs, with a slider between the two, and a histogram of
scores: drag over it, and the windows of that range are framed. With reconstructions, lung fields, truth, the headline
table and the config. An existing evaluation of the same data is read; otherwise `pneumo-ad evaluate` runs first.

{keys}
  score=GROUP threshold=GROUP stride=N trainer=GROUP ...   as on `pneumo-ad evaluate`

  data=GROUP data.root=DIR   {data}
"""


@typed
def report(
    run: Place | Run = SHIPPED,
    overrides: Overrides = (),
    *,
    output: Place | None = None,
    images: int = 50,
    subset: Subset | None = None,
    checkpoint: str | None = None,
) -> Path:
    """Write the report of a run, as `pneumo-ad report` does.

    An existing evaluation of the same data is read; otherwise the run is evaluated first.

    Args:
        run: Run folder, or an opened run with the overrides it was opened with; default: the detector that ships.
        overrides: Changes to the run's config, for example `{"stride": 4}`.
        output: File to write; default: `report.html` in the folder of the evaluation.
        images: Radiographs to show at most.
        subset: Split to show; default: test of the run's own data, all of other data.
        checkpoint: `best`, `last` or a file; default: the best, or that of the opened run.

    Returns:
        The HTML file.

    Raises:
        ConfigError: An unknown or invalid argument or override, or a file that cannot be written.
        DataError: A run folder without checkpoint, or data that cannot be evaluated.
    """
    given = COMMAND.read(locals())
    from pneumo_ad.evaluation.report import page_of
    from pneumo_ad.files import writable_folder
    from pneumo_ad.report.write import write_report
    from pneumo_ad.runs.run import open_run, place_of_evaluation

    opened = open_run(given["run"], given.overrides, given["checkpoint"])
    evaluated = place_of_evaluation(opened, given["subset"])
    file: Path = given["output"] or evaluated / "report.html"
    if file.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"output={file} must name an HTML file: output={file}/report.html")
    if file.is_dir():
        raise ConfigError(f"output={file} is a folder; name a file: output={file}/report.html")
    writable_folder(file.parent)
    return write_report(page_of(opened, evaluated, given["subset"], given["images"]), file)


def _show(file: Path, _: Arguments) -> None:
    print(f"report: {file}")


COMMAND = Command(
    section="look",
    place=2,
    summary="one HTML file: brush the histogram, frames light up",
    example="[run=RUN] [output=FILE] [data=... data.root=...]",
    call=report,
    show=_show,
    usage=USAGE,
    keys=(
        RUN_OR_SHIPPED,
        Key("output", "what to write (default: report.html in the folder of the evaluation)", "FILE", path),
        Key(
            "images",
            "radiographs to show at most, spread over the scores of each label, those with truth first",
            "50",
            whole,
        ),
        SUBSET,
        CHECKPOINT,
    ),
    config="train",
)
