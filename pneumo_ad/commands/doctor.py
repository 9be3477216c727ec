"""`pneumo-ad doctor`: checks of an installation or a run folder, for bug reports."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pneumo_ad.errors import UserError
from pneumo_ad.runs.arguments import Key, path, switch
from pneumo_ad.runs.command import Command

if TYPE_CHECKING:
    from pneumo_ad.runs.diagnosis import Finding

USAGE = """\
pneumo-ad doctor [trial=false]
pneumo-ad doctor run=RUN

Checks this installation: versions, device, cache folder (place, size, writable, whether flock works there), missing
extras and their purpose; then a trial of about a minute on drawn radiographs: training, evaluation, report, prediction,
export. With run=RUN it checks a run folder instead: whether the run can be opened, resumed and used by `pneumo-ad
predict`, and what is missing. Paste the output into a bug report; it contains paths of your machine.
Exit status: 0, or 1 where a check fails.

{keys}
"""
# Steps of the trial: arguments of commands, in which {0} is a folder.
_TRIAL = {
    "train": "train data.normal=14 data.pneumonia=6 data.size=160 image_size=128 patch=16 stride=8 net.width=4 "
    "trainer.max_epochs=1 hydra.run.dir={0}/run",
    "report": "report run={0}/run images=4",
    "predict": "predict input={0}/cache/phantoms output={0}/predicted",  # with the shipped detector
    "export": "export run={0}/run output={0}/exported format=torch_export",
}
_LIMIT = 300  # time limit of a step in seconds


def doctor(arguments: str | Sequence[str] = (), **keywords: object) -> list[Finding]:
    """Check this installation, or a run folder, as `pneumo-ad doctor` does, and print each finding.

    Args:
        arguments: Arguments as on the command line.
        keywords: `run`: run folder to check instead; `trial=False` leaves the trial out.

    Returns:
        All findings; failed checks have the state `fails`.

    Raises:
        ConfigError: An unknown argument.
    """
    given = COMMAND.parse(arguments, keywords)
    from pneumo_ad.runs.diagnosis import installation

    if given["run"]:
        checks = _run_findings(given["run"])
    else:
        checks = (finding for group in (installation(), _trial() if given["trial"] else ()) for finding in group)
    findings = []
    for finding in checks:
        print(f"{finding.state:<8} {finding.part:<12} {finding.detail}", flush=True)
        findings.append(finding)
    return findings


def _run_findings(folder: Path) -> Iterator[Finding]:
    from pneumo_ad.prediction.run_predictor import RunPredictor
    from pneumo_ad.runs.checkpoints import read_checkpoint
    from pneumo_ad.runs.diagnosis import checked
    from pneumo_ad.runs.record import read_run_json, status
    from pneumo_ad.runs.run import find_checkpoint, load_run

    opened = cache(lambda: load_run(folder))  # an error is not kept: each check reports it

    def ended() -> str:
        word, reason = status(folder)
        record = read_run_json(folder)
        version = record.get("pneumo_ad", "an unknown version")
        return f"{word}{f' ({reason})' if reason else ''}; {record.get('epochs', 0)} epochs; pneumo_ad {version}"

    def resumable() -> str:
        epoch = read_checkpoint(find_checkpoint(folder, "last")).get("epoch")
        if status(folder).word == "finished":
            return f"finished after epoch {epoch}, nothing is left to do"
        return f"pneumo-ad train resume={folder} goes on after epoch {epoch}"

    def judges() -> str:
        if not any(folder.glob("validation_scores/*.npz")):  # scoring them takes minutes, too long for a check
            return f"pneumo-ad predict run={folder} scores the run's held-out normals first"
        predictor = RunPredictor(opened())
        normals = len(predictor.standard.normals)
        return "; ".join([f"pneumo-ad predict run={folder}, by {normals} held-out normals", *predictor.notes])

    yield checked("status", ended)
    yield checked("opens", lambda: f"{opened().checkpoint.name} and its config")
    yield checked("data", lambda: f"{len(opened().radiographs.table)} images are where they were")
    yield checked("resumes", resumable)
    yield checked("predicts", judges)


def _trial() -> Iterator[Finding]:
    """Train, report, predict and export in a temporary folder, each in a separate process."""
    from pneumo_ad.runs.diagnosis import checked

    with tempfile.TemporaryDirectory(prefix="pneumo_ad-doctor-") as place:
        for step, arguments in _TRIAL.items():
            finding = checked(f"trial: {step}", lambda words=arguments: _timed(words, place))  # type: ignore[misc]
            yield finding
            if step == "train" and finding.state != "ok":
                return


def _timed(arguments: str, place: str) -> str:
    began = time.perf_counter()
    command = [sys.executable, "-m", "pneumo_ad", *arguments.format(place).split(" ")]
    try:
        subprocess.run(
            command,
            cwd=place,
            env=os.environ | {"PNEUMO_AD_CACHE": f"{place}/cache"},
            check=True,
            capture_output=True,
            text=True,
            errors="backslashreplace",
            timeout=_LIMIT,
        )
    except subprocess.CalledProcessError as reason:
        last = (reason.stderr or reason.stdout).strip().splitlines()[-1:]
        raise UserError(f"exit status {reason.returncode}: {' '.join(last)}") from None
    except subprocess.TimeoutExpired:
        raise UserError(f"not done after {_LIMIT} seconds") from None
    return f"{time.perf_counter() - began:.1f} s"


def _run(arguments: list[str]) -> None:
    if any(one.state == "fails" for one in doctor(arguments)):
        raise SystemExit(1)


COMMAND = Command(
    section="use",
    place=6,
    summary="check an installation, or a run folder",
    example="[run=RUN]",
    run=_run,
    usage=USAGE,
    keys=(
        Key("run", "a folder written by `pneumo-ad train`, checked instead of the installation", "RUN", path),
        Key("trial", "without the trial", "false", switch, True),
    ),
    alone=True,
)
