"""`pneumo-ad report`: an evaluated run as one HTML file, its histogram linked to the radiographs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pneumo_ad.errors import ConfigError
from pneumo_ad.runs.arguments import CHECKPOINT, RUN_OR_SHIPPED, SUBSET, Arguments, Key, path, whole
from pneumo_ad.runs.command import Command

USAGE = """\
pneumo-ad report [run=RUN] [key=value] ...

Writes one HTML file that opens offline: maps laid over radiographs, with a slider between the two, and a histogram of
scores: drag over it, and the windows of that range are framed. With reconstructions, lung fields, truth, the headline
table and the config. An existing evaluation of the same data is read; otherwise `pneumo-ad evaluate` runs first.

{keys}
  score=GROUP threshold=GROUP stride=N trainer=GROUP ...   as on `pneumo-ad evaluate`

  data=GROUP data.root=DIR   {data}
"""


def report(arguments: str | Sequence[str] = (), **keywords: object) -> Path:
    """Write the report of a run, as `pneumo-ad report` does.

    An existing evaluation of the same data is read; otherwise the run is evaluated first.

    Args:
        arguments: Arguments as on the command line.
        keywords: Keys without a dot, as keyword arguments.

    Returns:
        The HTML file.

    Raises:
        ConfigError: No `run=`, an unknown key, a file that cannot be written, or an invalid override.
        DataError: A run folder without checkpoint, or data that cannot be evaluated.
    """
    given = COMMAND.parse(arguments, keywords)
    from pneumo_ad.evaluation.report import page_of
    from pneumo_ad.files import writable_folder
    from pneumo_ad.report.write import write_report
    from pneumo_ad.runs.run import default_output, load_run

    run = load_run(given["run"], given.overrides, given["checkpoint"])
    evaluated = default_output(run.folder, given.changes)  # folder of the same evaluation by `pneumo-ad evaluate`
    file: Path = given["output"] or evaluated / "report.html"
    if file.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"output={file} must name an HTML file: output={file}/report.html")
    if file.is_dir():
        raise ConfigError(f"output={file} is a folder; name a file: output={file}/report.html")
    writable_folder(file.parent)
    return write_report(page_of(run, evaluated, given["subset"], given["images"]), file)


def _show(file: Path, _: Arguments) -> None:
    print(f"report: {file}")


COMMAND = Command(
    section="look",
    place=2,
    summary="one HTML file: brush the histogram, frames light up",
    example="[run=RUN] [output=FILE] [data=... data.root=...]",
    run=report,
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
            50,
        ),
        SUBSET,
        CHECKPOINT,
    ),
    config="train",
)
