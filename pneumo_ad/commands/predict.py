"""`pneumo-ad predict`: scores, maps and decisions of a trained run for a folder of files."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pneumo_ad.dicom.addresses import DICOMWEB, date_of, destination_words, patient_of, server_of, study_of
from pneumo_ad.errors import counted
from pneumo_ad.runs.arguments import (
    CALIBRATE,
    CHECKPOINT,
    RUN_OR_SHIPPED,
    Arguments,
    Key,
    Overrides,
    Place,
    one_of,
    path,
    switch,
    whole,
)
from pneumo_ad.runs.command import Command, typed
from pneumo_ad.runs.evaluation_options import option_help
from pneumo_ad.runs.hydra_command import run_hydra
from pneumo_ad.runs.shipped import SHIPPED

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from pneumo_ad.prediction.predicted import Predicted
    from pneumo_ad.runs.run import Run

USAGE = """\
pneumo-ad predict [run=RUN] input=PATH output=DIR [num_shards=N] [shard=I] [key=value] ...

Writes predictions.csv (score, percentile among held-out normals, p-value, decision at the declared false-alarm rate,
lung area, windows of each kind, warnings), failed.csv (no radiograph, or unreadable: exit status 3), overlays/, maps/.
The same command goes on. -m num_shards=4 'shard=range(0,4)' hydra/launcher=joblib (submitit_slurm) judges in parallel.

{keys}

Keys of the run that may change, as on `pneumo-ad evaluate` (its held-out normals are then scored again):

{options}
"""


@typed
def predict(
    input: Place,
    output: Place,
    run: Place | Run = SHIPPED,
    overrides: Overrides = (),
    *,
    patient: str = "",
    study: str = "",
    date: str = "",
    send_to: str = "",
    calibrate: Place | None = None,
    overlays: bool = True,
    maps: Literal["png", "npy", "none"] = "png",
    dicom: bool = False,
    report: bool = False,
    overwrite: bool = False,
    checkpoint: str | None = None,
    num_shards: int = 1,
    shard: int | None = None,
) -> Predicted:
    """Judge a folder of files, as `pneumo-ad predict` does; what an earlier call judged is not judged again.

    Args:
        input: Folder, searched with all below it, a file, or `dicomweb:URL`.
        output: New or empty folder, or that of an earlier call; `dicomweb:URL` stores DICOM objects there, and tables
            in `predicted`.
        run: Folder of a run or of an exported model, or an opened run; default: the detector that ships.
        overrides: Changes to the run's config, for example `{"stride": 4}`.
        patient: Patient ID of the studies on the server.
        study: Their Study Instance UID.
        date: Their date, or first and last: `YYYYMMDD-YYYYMMDD`.
        send_to: Node (`AE@HOST:PORT`) or server (`dicomweb:URL`) that DICOM objects are sent to.
        calibrate: Folder of 20 or more normal radiographs of the input's own site, in place of the run's held-out
            normals.
        overlays: Whether heat maps over the radiographs are drawn.
        maps: Format of the anomaly maps: 16-bit PNG, float32 `npy`, or none.
        dicom: Whether overlay, segmentation and report of each DICOM file are written as DICOM objects.
        report: Whether `report.html` is written.
        overwrite: Whether what an earlier call wrote to `output` is replaced.
        checkpoint: `best`, `last` or a file; default: the best, or that of the opened run.
        num_shards: Stretches that the sorted list of files is cut into.
        shard: Stretch to judge, from 0; the last to end writes the tables. None judges all.

    Returns:
        Tables and maps of the prediction, read from its folder when they are asked for.

    Raises:
        ConfigError: A missing, unknown or invalid argument or override.
        DataError: Nothing to judge, a run that cannot be opened, or an output folder that cannot be written to.
        KeyboardInterrupt: Interrupted; the same call continues. SIGTERM raises `SystemExit`.

    Example:
        `predict("scans", "judged").predictions.sort_values("score")`
    """
    given = COMMAND.read(locals())
    from pneumo_ad.dicom.web import Query
    from pneumo_ad.prediction.peers import predict_from
    from pneumo_ad.runs.run import named_run

    own = dict(given.own)
    folder, changes, weights = named_run(own.pop("run"), given.overrides, own.pop("checkpoint"))
    query = Query(*(own.pop(key) for key in ("patient", "study", "date")))
    source = own.pop("input")
    return predict_from(source, query=query, run=folder, overrides=changes, checkpoint=weights, **own)


def _place(text: str) -> Path | str:
    """Read a path, or the address of a DICOMweb server."""
    return f"{DICOMWEB}{server_of(text)}" if text.startswith(DICOMWEB) else path(text)


def _predict_shards(arguments: list[str]) -> None:
    """Judge the shards of an input in the jobs of a launcher, and print the tables' summary."""
    from pneumo_ad.prediction.peers import TABLES
    from pneumo_ad.prediction.predicted import Predicted
    from pneumo_ad.prediction.written import read_predict_json

    hydras = [one for one in arguments if one.lstrip("+~").startswith(("-", "hydra", "shard="))]
    own = [one for one in arguments if one not in hydras]
    place = COMMAND.parse(own)["output"]
    output = place if isinstance(place, Path) else TABLES
    run_hydra("predict", hydras, partial(_predict_shard, own), has_folder=False)
    story = read_predict_json(output) or {}
    if story.get("state") != "finished":
        print(f"{output} is not finished; the same command goes on", file=sys.stderr)
        raise SystemExit(1)
    _show(Predicted(output, story, story["counts"]["predicted"]), None)


def _predict_shard(own: Sequence[str], config: DictConfig) -> None:
    found = predict(**(COMMAND.keywords(own) | {"shard": config.shard}))
    few = "no files (it is done, or there are fewer groups of at most 32 files than shards: others have them all)"
    judged = counted(found.new, "file") if found.new else few
    if found.left:
        print(f"shard {config.shard}: {judged}; still to be judged: shard={_listed(found.left)}", flush=True)
    else:
        print(f"shard {config.shard}: {judged}; the tables of all shards are written", flush=True)


def _listed(numbers: Sequence[int]) -> str:
    return ",".join(map(str, numbers))


def _show(found: Predicted, _: Arguments | None) -> None:
    from pneumo_ad.prediction.summary import print_prediction

    if found.left:
        print(f"{counted(found.new, 'file')} judged; still to be judged: shard={_listed(found.left)}")
        return
    print_prediction(found)
    if unreadable := found.story["counts"]["unreadable"]:
        print(
            f"{counted(unreadable, 'file')} could not be read: {found.folder / 'failed.csv'}",
            file=sys.stderr,
            flush=True,
        )
    if found.report is not None:
        print(f"report: {found.report}", flush=True)  # the last line
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
    call=predict,
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
