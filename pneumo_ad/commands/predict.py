"""`pneumo-ad predict`: scores, maps and decisions of a trained run for a folder of files."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pneumo_ad.dicom.addresses import DICOMWEB, date_of, destination_words, patient_of, server_of, study_of
from pneumo_ad.runs.arguments import CALIBRATE, CHECKPOINT, RUN_OR_SHIPPED, Arguments, Key, one_of, path, switch
from pneumo_ad.runs.command import Command
from pneumo_ad.runs.evaluation_options import option_help

if TYPE_CHECKING:
    from pneumo_ad.prediction.predict import Predicted

USAGE = """\
pneumo-ad predict [run=RUN] input=PATH output=DIR [key=value] ...

Judges every radiograph: predictions.csv (score, percentile among held-out normals, p-value, decision at the declared
false-alarm rate, lung area, windows of the three kinds, warnings), failed.csv (none, or unreadable: status 3),
overlays/, maps/, dicom/. The same command goes on and adds new files. calibrate=DIR may not hold files of the input.

{keys}

Keys of the run that may change, as on `pneumo-ad evaluate` (its held-out normals are then scored again):

{options}
"""


def predict(arguments: str | Sequence[str] = (), **keywords: object) -> Predicted:
    """Judge a folder of files, as `pneumo-ad predict` does.

    Args:
        arguments: Arguments as on the command line, for example `["run=runs/paper/1", "input=scans", "output=judged"]`.
        keywords: Keys without a dot, as keyword arguments: `run="runs/paper/1", report=True`.

    Raises:
        ConfigError: A missing or unknown key, or an invalid override.
        DataError: Nothing to judge, a run that cannot be opened, or an output folder that cannot be written to.
        SystemExit: Ended by a signal; the same command continues.
    """
    given = COMMAND.parse(arguments, keywords)
    from pneumo_ad.dicom.web import Query
    from pneumo_ad.prediction.peers import predict_from

    own = dict(given.own)
    query = Query(*(own.pop(key) for key in ("patient", "study", "date")))
    return predict_from(own.pop("input"), query=query, overrides=given.overrides, **own)


def _place(text: str) -> Path | str:
    """Read a path, or the address of a DICOMweb server."""
    return f"{DICOMWEB}{server_of(text)}" if text.startswith(DICOMWEB) else path(text)


def _show(found: Predicted, _: Arguments) -> None:
    from pneumo_ad.prediction.summary import print_prediction

    print_prediction(found.output, found.story, found.new)
    if unreadable := found.story["counts"]["unreadable"]:
        print(f"{unreadable} files could not be read: {found.output / 'failed.csv'}", file=sys.stderr)
        raise SystemExit(3)


COMMAND = Command(
    section="use",
    place=1,
    summary="scores, maps and decisions for a folder of files",
    example="[run=RUN] input=PATH output=DIR [report=true]",
    run=predict,
    show=_show,
    usage=USAGE.replace("{options}", option_help("scores", "decisions", "speed")),
    keys=(
        replace(
            RUN_OR_SHIPPED,
            help="a folder written by `pneumo-ad train` or `pneumo-ad export`; without it the detector that ships",
        ),
        Key(
            "input",
            "a folder, searched with all below it, or a file; dicomweb:URL fetches studies, by the next keys",
            "PATH",
            _place,
            missing="input=... must be given: a file or a folder",
        ),
        Key("patient", "Patient ID of the studies on the server", "ID", patient_of, ""),
        Key("study", "their Study Instance UID", "UID", study_of, ""),
        Key("date", "their date, or first and last: YYYYMMDD-YYYYMMDD", "YYYYMMDD", date_of, ""),
        Key(
            "output",
            "a new or empty folder; dicomweb:URL stores DICOM objects there, tables in predicted/",
            "DIR",
            _place,
            missing="output=... must be given: a folder to write to",
        ),
        Key(
            "send_to",
            "sends the DICOM objects to a node, or to dicomweb:URL",
            "AE@HOST:PORT",
            destination_words,
            "",
        ),
        CALIBRATE,
        Key("overlays", "without the heat maps over the radiographs", "false", switch, True),
        Key(
            "maps",
            "anomaly maps as 16-bit PNG (default; scale in its text chunks), npy (float32), or none",
            "png",
            one_of("png", "npy", "none"),
            "png",
        ),
        Key(
            "dicom", "also overlay, segmentation and report of each DICOM file as DICOM objects", "true", switch, False
        ),
        Key(
            "report",
            "also report.html: the linked histogram of 50 files, half of them the most anomalous",
            "true",
            switch,
            False,
        ),
        Key("overwrite", "replace what predict wrote to output; other files there stay", "true", switch, False),
        CHECKPOINT,
    ),
    config="train",
)
