"""Prediction for a folder of files, resumable, with tables, pictures and a report."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from pneumo_ad import __version__
from pneumo_ad.data.progress import progress_bar
from pneumo_ad.dicom.equipment import Equipment
from pneumo_ad.dicom.extra import check_extra
from pneumo_ad.errors import ConfigError, DataError, printable
from pneumo_ad.inference.predictor import Predictor
from pneumo_ad.prediction.dicom_objects import DicomInputs, DicomObjects, find_dicom
from pneumo_ad.prediction.folder import OutputFolder, check_folder, shared, writable
from pneumo_ad.prediction.inputs import File, find_files
from pneumo_ad.prediction.opening import open_predictor
from pneumo_ad.prediction.pictures import MapFormat, Pictures
from pneumo_ad.prediction.pipeline import outcomes
from pneumo_ad.prediction.predicted import REPORT, Predicted
from pneumo_ad.prediction.remarks import doubts_of_source
from pneumo_ad.prediction.report import page_of_files
from pneumo_ad.prediction.shard import Shard, chosen_shard
from pneumo_ad.prediction.site_calibration import Site, calibrated, find_site, site_scores
from pneumo_ad.prediction.written import CALIBRATION
from pneumo_ad.report.write import write_report
from pneumo_ad.runs.jobs import INTERRUPTED
from pneumo_ad.runs.shipped import is_shipped

log = logging.getLogger(__name__)


def predict_folder(
    run: Path,
    source: Path,
    output: Path,
    overrides: Sequence[str] = (),
    checkpoint: str = "best",
    maps: MapFormat = "png",
    overlays: bool = True,
    overwrite: bool = False,
    report: bool = False,
    calibrate: Path | None = None,
    dicom: bool = False,
    num_shards: int = 1,
    shard: int | None = None,
) -> Predicted:
    """Score every radiograph below a folder by a run.

    Args:
        run: Run folder, or exported model.
        source: Folder, or file.
        output: New or empty folder, or that of an earlier call, which is continued.
        overrides: Changes to the run's config; see `opening.CHANGEABLE`.
        checkpoint: See `load_run`.
        maps: Format of the anomaly maps.
        overlays: Whether heat maps over the radiographs are drawn.
        overwrite: Whether output of an earlier call is replaced.
        report: Whether `report.html` is written.
        calibrate: Folder of normal radiographs of the same site as the input; see `site_calibration`.
        dicom: Whether DICOM objects are written for each DICOM file; see `dicom_objects`.
        num_shards: Number of stretches of the sorted list of files.
        shard: Stretch to judge, from 0; the last one to end writes the tables of all. None judges all of them.

    Raises:
        ConfigError: An override that cannot be applied, `dicom` without the packages that it needs, no such shard, or
            `overwrite` of one shard.
        DataError: No radiograph, a run that cannot be opened, normals that are too few or in the input too, or an
            output folder that cannot be written to, or that the input lies in.
        KeyboardInterrupt: Interrupted by Ctrl-C; the same command continues.
        SystemExit: Interrupted by SIGTERM; the same command continues.
    """
    if dicom:
        check_extra("dicom=true", "highdicom")
    if source.resolve().is_relative_to(output.resolve()):
        raise DataError(f"input={source} lies in output={output}; name an output that does not hold the input")
    if overwrite and shard is not None:
        raise ConfigError(
            f"overwrite=true and shard={shard}: a shard would delete what the others wrote; name another output, or "
            f"delete {output} first"
        )
    check_folder(output, overwrite)
    files = find_files(source, output)  # before the model is opened
    readable = [file for file in files if file.kind == "radiograph"]
    part = chosen_shard(shard, num_shards, readable)
    site = find_site(calibrate, output, [file.path for file in readable]) if calibrate else None
    judge = open_predictor(run, overrides, checkpoint)
    asked = {"run": printable(str(run.absolute())), "judge": judge.identity, "input": printable(str(source.absolute()))}
    asked |= about_options(overrides, maps, overlays, site, dicom)
    scores = None
    with writable(output, part) as lock:
        if site:  # before anything is written: with too few normals the output stays unchanged
            with _ended_in_words("the same command"):
                scores = site_scores(judge, site, output / CALIBRATION)
            judge = calibrated(judge, site, scores)
        pictures = open_pictures(output, run, judge, maps, overlays, find_dicom(files) if dicom else None)
        into = OutputFolder(output, asked, overwrite, part)
        if scores:
            scores.keep(output / CALIBRATION)
        with _ended_in_words("the same command without overwrite=true" if overwrite else "the same command"):
            for note in judge.notes if part is None or part.number == 0 else ():
                log.warning("%s", note)
            with shared(lock, output, part) if part else nullcontext():
                new = judge_files(judge, part.of(readable, judge.grid) if part else readable, into, pictures)
            if part:
                into = OutputFolder(output, asked, overwrite)  # with what other shards judged meanwhile
                shards = (Shard(number, num_shards) for number in range(num_shards))
                if left := tuple(one.number for one in shards if into.left(one.of(readable, judge.grid))):
                    return Predicted(output, {"state": "unfinished", "asked": asked}, new, left)
            predicted = Predicted(output, write_tables(judge, files, into, own_normals=site is None), new)
        if report:
            typed = {"run": printable(str(run)), "input": printable(str(source))}  # as typed: a report is shared
            typed |= {"calibrate": printable(str(calibrate))} if calibrate else {}
            about = predicted.story | {"asked": asked | typed}
            write_report(page_of_files(judge, files, into.predicted, about), output / REPORT)
        elif predicted.new and (output / REPORT).is_file():
            (output / REPORT).unlink()
            log.warning("report.html did not show the files that are new, and is deleted; report=true draws it again")
        return predicted


def about_options(
    overrides: Sequence[str], maps: MapFormat, overlays: bool, site: Site | None, dicom: bool
) -> dict[str, Any]:
    """Describe what was asked for, beside model and input, for `predict.json`: another answer needs another folder.

    Args:
        overrides: Changes to the run's config.
        maps: Format of the anomaly maps.
        overlays: Whether heat maps over the radiographs are written.
        site: Normals that scores are compared with, in place of the run's.
        dicom: Whether DICOM objects are written.
    """
    about = {"overrides": sorted(overrides), "maps": maps, "overlays": overlays, "pneumo_ad": __version__}
    return about | {"calibrate": site and site.words, "dicom": dicom or None}  # None: unknown to earlier versions


def open_pictures(
    output: Path, run: Path, judge: Predictor, maps: MapFormat, overlays: bool, inputs: DicomInputs | None
) -> Pictures:
    """Make the writer of maps, overlays and DICOM objects.

    Args:
        output: Output folder.
        run: Run folder, or exported model, whose name DICOM objects hold.
        judge: Predictor of the files.
        maps: Format of the anomaly maps.
        overlays: Whether heat maps over the radiographs are written.
        inputs: DICOM files that get DICOM objects; None writes none.
    """
    objects = None
    if inputs is not None:
        equipment = Equipment("shipped detector" if is_shipped(run) else printable(run.name), judge.identity)
        objects = DicomObjects(output, equipment, judge.standard, judge.grid, inputs)
    return Pictures(output, judge.standard, maps, overlays, objects)


def judge_files(judge: Predictor, readable: Sequence[File], output: OutputFolder, pictures: Pictures) -> int:
    """Score the radiographs that are not done yet; returns their number.

    Args:
        judge: Predictor of the files.
        readable: Radiographs of the input, or of a shard.
        output: Output folder, with the record of finished files.
        pictures: Writer of maps and overlays.
    """
    left = output.left(readable)
    if output.finished and not left:
        log.info("nothing new")
    elif len(left) < len(readable):
        log.info("going on: %d of %d files are done", len(readable) - len(left), len(readable))
    with progress_bar(total=len(left), desc="predict", unit="file", shown=bool(left)) as bar:
        for finished in outcomes(judge, left, pictures):
            output.keep(finished)
            bar.update(len(finished))
    return len(left)


def write_tables(
    judge: Predictor, files: Sequence[File], output: OutputFolder, own_normals: bool = True
) -> dict[str, Any]:
    """Write the tables of all files, which are done; returns the content of `predict.json`.

    Args:
        judge: Predictor of the files.
        files: All files of the input, radiographs or not.
        output: Output folder, with the record of finished files.
        own_normals: Whether scores are compared with normals of the run, not of `calibrate=`.
    """
    if gone := output.reconcile(files):
        log.info("%d files that were judged before are no longer there; their rows stay", gone)
    about = about_judge(judge, output, own_normals)
    for doubt in about["notes"][len(judge.notes) :]:
        log.warning("%s", doubt)
    others = [file for file in files if file.kind != "radiograph"]
    return output.finish(others, about)


def about_judge(judge: Predictor, output: OutputFolder, own_normals: bool) -> dict[str, Any]:
    """Describe a predictor for `predict.json`; its notes end with doubts about the source of what it judged.

    Args:
        judge: Predictor of the files.
        output: Output folder, with the rows so far.
        own_normals: Whether scores are compared with normals of the run, not of `calibrate=`.
    """
    standard, notes = judge.standard, list(judge.notes)
    if own_normals and (doubt := doubts_of_source(output.predicted, standard.false_alarm_rate)):
        notes.append(doubt)
    return {
        "false_alarm_rate": standard.false_alarm_rate,
        "held_out_normals": len(standard.normals),
        "score": standard.score,
        "unit": standard.unit,
        "thresholds": standard.thresholds and standard.thresholds.plain,
        "colours": list(standard.colours),
        "notes": notes,
        "vocabulary": vars(judge.vocabulary),
    }


@contextmanager
def _ended_in_words(command: str) -> Iterator[None]:
    """End on Ctrl-C and SIGTERM with a message instead of a traceback; files written so far are complete."""
    main = threading.current_thread() is threading.main_thread()

    def told(number: int, frame: object) -> None:
        raise SystemExit(INTERRUPTED)

    before = signal.signal(signal.SIGTERM, told) if main else None
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        log.warning("stopped; %s goes on", command)
        raise
    finally:
        if main:
            signal.signal(signal.SIGTERM, before)
