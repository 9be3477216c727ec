"""`pneumo-ad report`: an evaluated run as one HTML file, its histogram linked to the radiographs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pneumo_ad.errors import ConfigError
from pneumo_ad.evaluation.report import page_of
from pneumo_ad.files import writable_folder
from pneumo_ad.report.write import write_report
from pneumo_ad.runs.run import default_output, load_run, of_run


def report(overrides: Sequence[str]) -> Path:
    """The command. `run=RUN` and optionally `output=FILE`, `images=50`, `subset=`, `checkpoint=`, overrides of the run.

    An evaluation of the same is read; where there is none, it is made first.

    Returns:
        The file.

    Raises:
        ConfigError: No `run=`, a number of images that is none, a file that cannot be written, an override that cannot
            be applied.
        DataError: A run folder without checkpoint, or data that cannot be evaluated.
    """
    own, rest = of_run(overrides, "report", subset="", checkpoint="best", images="50")
    changes = [one for one in overrides if not one.startswith(("run=", "output=", "images="))]
    most = _positive(own["images"])
    run = load_run(own["run"], rest, own["checkpoint"])
    evaluated = default_output(run.folder, changes)  # where `pneumo-ad evaluate` puts the same evaluation
    file = Path(own["output"] or evaluated / "report.html")
    if file.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"output={file} must name an HTML file: output={file}/report.html")
    if file.is_dir():
        raise ConfigError(f"output={file} is a folder; name a file: output={file}/report.html")
    writable_folder(file.parent)
    return write_report(page_of(run, evaluated, own["subset"] or None, most), file)


def _positive(images: str) -> int:
    if not images.isdigit() or int(images) < 1:
        raise ConfigError(f"images={images} must be a whole number of radiographs to show, at least 1")
    return int(images)
