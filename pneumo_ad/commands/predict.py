"""`pneumo-ad predict`: scores, maps and decisions of a trained run for a folder of files."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pneumo_ad.dicom.addresses import DICOMWEB, date_of, destination_words, patient_of, server_of, study_of
from pneumo_ad.runs.arguments import CALIBRATE, CHECKPOINT, RUN_OR_SHIPPED, Arguments, Key, one_of, path, switch, whole
from pneumo_ad.runs.command import Command
from pneumo_ad.runs.evaluation_options import option_help
from pneumo_ad.runs.hydra_command import run_hydra

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from pneumo_ad.prediction.predict import Predicted

USAGE = """\
pneumo-ad predict [run=RUN] input=PATH output=DIR [num_shards=N] [shard=I] [key=value] ...

Writes predictions.csv (score, percentile among held-out normals, p-value, decision at the declared false-alarm rate,
lung area, windows of each kind, warnings), failed.csv (no radiograph, or unreadable: exit status 3), overlays/, maps/.
The same command goes on. -m num_shards=4 'shard=range(0,4)' hydra/launcher=joblib (submitit_slurm) judges in parallel.

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


def _predict_shards(arguments: list[str]) -> None:
    """Judge the shards of an input in the jobs of a launcher, and print the tables' summary."""
    from pneumo_ad.prediction.peers import TABLES
    from pneumo_ad.prediction.predict import Predicted
    from pneumo_ad.prediction.written import read_predict_json

    hydras = [one for one in arguments if one.lstrip("+~").startswith(("-", "hydra", "shard="))]
    own = [one for one in arguments if one not in hydras]
    typed = COMMAND.parse(own, {})["output"]
    output = typed if isinstance(typed, Path) else TABLES
    run_hydra("predict", hydras, partial(_predict_shard, own), has_folder=False)
    story = read_predict_json(output) or {}
    if story.get("state") != "finished":
        print(f"{output} is not finished; the same command goes on", file=sys.stderr)
        raise SystemExit(1)
    _show(Predicted(output, story, story["counts"]["predicted"]), None)


def _predict_shard(own: Sequence[str], config: DictConfig) -> None:
    found = predict(own, shard=config.shard)
    if found.left:
        print(f"shard {config.shard}: {found.new} files; still to be judged: shard={_listed(found.left)}", flush=True)
    else:
        print(f"shard {config.shard}: {found.new} files; the tables of all shards are written", flush=True)


def _listed(numbers: Sequence[int]) -> str:
    return ",".join(map(str, numbers))


def _show(found: Predicted, _: Arguments | None) -> None:
    from pneumo_ad.prediction.summary import print_prediction

    if found.left:
        print(f"{found.new} files judged; still to be judged: shard={_listed(found.left)}")
        return
    print_prediction(found.output, found.story, found.new)
    if unreadable := found.story["counts"]["unreadable"]:
        print(f"{unreadable} files could not be read: {found.output / 'failed.csv'}", file=sys.stderr, flush=True)
    if (report := found.output / "report.html").is_file():
        print(f"report: {report}", flush=True)  # the last line
    if unreadable:
        raise SystemExit(3)


def _number(text: str) -> int | None:
    """Read the number of a shard, or null."""
    if text != "null" and not (text.isascii() and text.removeprefix("-").isdigit()):
        raise ValueError("a whole number from 0, or null")
    return None if text == "null" else int(text)


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
        Key("num_shards", "stretches that the sorted list of files is cut into", "N", whole, 1),
        Key("shard", "the one to judge, from 0; the last to end writes the tables. null judges all", "I", _number),
    ),
    config="train",
    sweep=_predict_shards,
)
