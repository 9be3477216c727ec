"""`pneumo-ad predict`: scores, maps and decisions of a trained run for a folder of files."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from pneumo_ad.runs.arguments import CALIBRATE, CHECKPOINT, RUN_OR_SHIPPED, Arguments, Key, one_of, path, switch, whole
from pneumo_ad.runs.command import Command
from pneumo_ad.runs.evaluation_options import option_help
from pneumo_ad.runs.hydra_command import run_hydra

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from pneumo_ad.prediction.predict import Predicted

USAGE = """\
pneumo-ad predict [run=RUN] input=PATH output=DIR [num_shards=N] [shard=I] [key=value] ...

Judges every radiograph below a folder: predictions.csv (score, percentile among held-out normals, p-value, decision at
the declared false-alarm rate, lung area, windows of the three kinds, warnings), failed.csv (files that could not be
read, or are no radiographs), overlays/ and maps/. The same command continues where it stopped and adds new files.
With calibrate=DIR, normal radiographs of the input's own site take the place of the run's held-out normals; none of
them may be in the input. They are scored once. Exit status: 0, or 3 where files could not be read.
-m num_shards=4 'shard=range(0,4)' hydra/launcher=joblib judges shards at once, on a cluster by submitit_slurm.

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
    from pneumo_ad.prediction.predict import predict_folder

    return predict_folder(
        overrides=given.overrides, **{"source" if k == "input" else k: v for k, v in given.own.items()}
    )


def _predict_shards(arguments: list[str]) -> None:
    """Judge the shards of an input in the jobs of a launcher, and print the tables' summary."""
    from pneumo_ad.prediction.predict import Predicted
    from pneumo_ad.prediction.written import read_predict_json

    hydras = [one for one in arguments if one.lstrip("+~").startswith(("-", "hydra", "shard="))]
    own = [one for one in arguments if one not in hydras]
    output = COMMAND.parse(own, {})["output"]
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
        print(f"{unreadable} files could not be read: {found.output / 'failed.csv'}", file=sys.stderr)
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
            "a folder, searched with all below it, or a file",
            "PATH",
            path,
            missing="input=... must be given: a file or a folder",
        ),
        Key("output", "a new or empty folder", "DIR", path, missing="output=... must be given: a folder to write to"),
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
