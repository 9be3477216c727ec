"""Judging of DICOM instances that arrive in a queue, each once, and sending of what was made of them."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

from pneumo_ad.dicom.extra import check_extra
from pneumo_ad.dicom.queue import SUFFIX, InstanceQueue
from pneumo_ad.errors import printable, system_words
from pneumo_ad.inference.predictor import Predictor
from pneumo_ad.prediction.dicom_objects import DicomInputs
from pneumo_ad.prediction.folder import FULL, OutputFolder, check_folder, writable
from pneumo_ad.prediction.inputs import File
from pneumo_ad.prediction.opening import open_predictor
from pneumo_ad.prediction.pictures import MapFormat, Pictures
from pneumo_ad.prediction.pipeline import Outcome, outcomes
from pneumo_ad.prediction.predict import about_judge, about_options, open_pictures
from pneumo_ad.prediction.predicted import Predicted
from pneumo_ad.prediction.site_calibration import calibrated, find_site, site_scores
from pneumo_ad.prediction.written import CALIBRATION

log = logging.getLogger(__name__)

_QUEUE = "queue"  # folder of the received instances in the output
_TOGETHER = 64  # most instances of one pass of the pipeline
_SHARE = 20  # tables are written again after this many times what it took
_AGAIN = 10.0  # seconds until a full disk is tried again


@dataclass(frozen=True)
class Judging:
    """Settings of a prediction for instances that arrive; see `predict.predict_folder`.

    Attributes:
        run: Run folder, or exported model.
        output: New or empty folder, or that of an earlier call, which is continued.
        overrides: Changes to the run's config; see `opening.CHANGEABLE`.
        checkpoint: See `load_run`.
        maps: Format of the anomaly maps.
        overlays: Whether heat maps over the radiographs are written.
        dicom: Whether DICOM objects are written for each instance.
        calibrate: Folder of normal radiographs of the same site; see `site_calibration`.
        overwrite: Whether output of an earlier call is replaced, with its queue.
    """

    run: Path
    output: Path
    overrides: Sequence[str] = ()
    checkpoint: str = "best"
    maps: MapFormat = "png"
    overlays: bool = True
    dicom: bool = False
    calibrate: Path | None = None
    overwrite: bool = False

    @contextmanager
    def opened(self, source: dict[str, Any], most: int) -> Iterator[Arrivals]:
        """Open the model and the output folder, which is locked within the context, for its owner alone.

        Args:
            source: Description of where the instances come from, for `predict.json`.
            most: Most instances in the queue.

        Raises:
            ConfigError: An override that cannot be applied, or `dicom` without the packages that it needs.
            DataError: A run that cannot be opened, or an output folder that cannot be written to.
        """
        if self.dicom:
            check_extra("dicom=true", "highdicom")
        check_folder(self.output, self.overwrite)
        site = find_site(self.calibrate, self.output, []) if self.calibrate else None
        judge = open_predictor(self.run, self.overrides, self.checkpoint)
        asked = {"run": printable(str(self.run.absolute())), "judge": judge.identity, **source}
        asked |= about_options(self.overrides, self.maps, self.overlays, site, self.dicom)
        with _private(), writable(self.output):
            if site:
                scores = site_scores(judge, site, self.output / CALIBRATION)
                judge = calibrated(judge, site, scores)
            none_yet = DicomInputs({}, {}) if self.dicom else None
            pictures = open_pictures(self.output, self.run, judge, self.maps, self.overlays, none_yet)
            into = OutputFolder(self.output, asked, self.overwrite)
            if site:
                scores.keep(self.output / CALIBRATION)
            if self.overwrite:
                shutil.rmtree(self.output / _QUEUE, ignore_errors=True)
            queue = InstanceQueue(self.output / _QUEUE, most, known=lambda uid: into.stamp_of(f"{uid}{SUFFIX}"))
            yield Arrivals(judge, queue, into, pictures, own_normals=site is None)


class Arrivals:
    """Judges what comes to a queue, and keeps the tables of the output folder up to date.

    The record of an instance is written before the instance leaves the queue: after a kill it is either judged again,
    with the same row, or passed on.

    Args:
        judge: Predictor of the instances.
        queue: Queue of received instances, in the output folder.
        output: Output folder, with the record of judged instances.
        pictures: Writer of maps, overlays and DICOM objects.
        own_normals: Whether scores are compared with normals of the run, not of `calibrate=`.
    """

    def __init__(
        self,
        judge: Predictor,
        queue: InstanceQueue,
        output: OutputFolder,
        pictures: Pictures,
        own_normals: bool = True,
    ) -> None:
        self.queue = queue
        self._judge, self._output, self._pictures, self._own_normals = judge, output, pictures, own_normals
        self._sends = self._forwards = False
        self.new = 0

    def send_on(self, forward: bool) -> None:
        """Keep what was judged in the queue until it is sent.

        Args:
            forward: Whether the instances themselves are sent too.
        """
        self._sends, self._forwards = True, forward

    def is_known(self, uid: str) -> bool:
        """Whether an instance was judged."""
        return self._output.stamp_of(f"{uid}{SUFFIX}") is not None

    def objects_of(self, uid: str) -> list[Path]:
        """DICOM objects that were made of an instance."""
        return sorted((self._output.folder / "dicom" / f"{uid}{SUFFIX}").glob(f"*{SUFFIX}"))

    def judge_until(self, stop: Event, ended: Callable[[], bool] = lambda: False) -> None:
        """Judge what is in the queue and what comes, until `stop`, or until nothing is left after the end.

        Args:
            stop: Event that ends it once the instances at hand are judged; the others stay in the queue.
            ended: Whether nothing more will come.
        """
        tables_at, written = time.monotonic(), True
        while not stop.is_set():
            no_more = ended()  # asked before the queue is looked at: what came last is in there then
            try:
                if self._pass(stop):
                    written = False
                elif no_more:
                    return
                if not written and time.monotonic() >= tables_at:
                    began = time.monotonic()
                    self.write_tables("unfinished")
                    tables_at, written = time.monotonic() + _SHARE * (time.monotonic() - began), True
            except OSError as reason:
                if reason.errno not in FULL:
                    raise
                log.error("%s; tried again in %d s", system_words(reason), _AGAIN)
                stop.wait(_AGAIN)

    def _pass(self, stop: Event) -> int:
        """Judge the first instances of the queue; return how many left it."""
        files, done = list[File](), 0
        for uid, path, stamp in self.queue.take(_TOGETHER, seconds=0.5):
            if self.is_known(uid):  # killed between its record and its leaving
                self._pass_on(uid)
                done += 1
            else:
                files.append(File(f"{uid}{SUFFIX}", path, stamp=stamp))
        for finished in outcomes(self._judge, files, self._pictures_of(files)):
            finished = [(file, _short(file, outcome)) for file, outcome in finished]
            self._output.keep(finished)
            for file, outcome in finished:
                if isinstance(outcome, str):
                    log.warning("not judged: %s", outcome)
                self._pass_on(file.path.stem)
            done += len(finished)
            self.new += len(finished)
            unsent = f", {self.queue.unsent} are to be sent" if self._sends else ""
            log.info("%d judged; %d wait%s", self.new, self.queue.waiting, unsent)
            if stop.is_set():
                break
        return done

    def _pictures_of(self, files: Sequence[File]) -> Pictures:
        objects = self._pictures.dicom
        inputs = DicomInputs({file.name: file.path for file in files}, {})
        return replace(self._pictures, dicom=objects and replace(objects, inputs=inputs))

    def _pass_on(self, uid: str) -> None:
        self.queue.judged(uid, send=self._sends and (self._forwards or bool(self.objects_of(uid))))

    def write_tables(self, state: str, others: Sequence[File] = ()) -> Predicted:
        """Write the tables and `predict.json`.

        Args:
            state: `finished` or `unfinished`.
            others: Instances that could not be fetched.
        """
        about: dict[str, Any] = about_judge(self._judge, self._output, self._own_normals)
        about |= {"waiting": self.queue.waiting, "unsent": self.queue.unsent}
        return Predicted(self._output.folder, self._output.finish(others, about, state), self.new)


def _short(file: File, outcome: Outcome) -> Outcome:
    """Name a file in a reason by its UID: it does not stay where it lies."""
    return outcome.replace(str(file.path), file.name) if isinstance(outcome, str) else outcome


@contextmanager
def _private() -> Iterator[None]:
    """Have files and folders made for their owner alone."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def stopped_by_signals(stop: Event) -> Iterator[Event]:
    """Set an event on the first SIGTERM or Ctrl-C; the second has its usual effect.

    Args:
        stop: Event to set.
    """
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def told(number: int, frame: object) -> None:
        signal.signal(number, before[number])
        log.info("stopping: what is at hand is finished first")
        stop.set()

    before: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for number in before:
        signal.signal(number, told)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
