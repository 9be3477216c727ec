"""Judging of DICOM instances that arrive in a queue, each once."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event
from typing import Any

from pneumo_ad.dicom.queue import SUFFIX, InstanceQueue
from pneumo_ad.errors import system_words
from pneumo_ad.inference.predictor import Predictor
from pneumo_ad.prediction.folder import FULL, OutputFolder
from pneumo_ad.prediction.inputs import File
from pneumo_ad.prediction.pictures import Pictures
from pneumo_ad.prediction.pipeline import Outcome, outcomes
from pneumo_ad.prediction.predict import Predicted, about_judge

log = logging.getLogger(__name__)

OBJECTS = "dicom"  # folder of the DICOM objects that are made of each instance
_TOGETHER = 64  # most instances of one pass of the pipeline
_SHARE = 20  # tables are written again after this many times what it took
_AGAIN = 10.0  # seconds until a full disk is tried again


class Arrivals:
    """Judges what comes to a queue, and keeps the tables of the output folder up to date.

    The record of an instance is written before the instance leaves the queue: after a kill it is either judged again,
    with the same row, or passed on.

    Args:
        judge: Predictor of the instances.
        queue: Queue of received instances, in the output folder.
        output: Output folder, with the record of judged instances.
        pictures: Writer of maps and overlays.
        own_normals: Whether scores are compared with normals of the run, not of `calibrate=`.
        send: Files of an instance that are to be sent, by its UID; None sends nothing.
    """

    def __init__(
        self,
        judge: Predictor,
        queue: InstanceQueue,
        output: OutputFolder,
        pictures: Pictures,
        own_normals: bool = True,
        send: Callable[[str], Sequence[Path]] | None = None,
    ) -> None:
        self._judge, self._queue, self._output, self._pictures = judge, queue, output, pictures
        self._own_normals, self._send = own_normals, send
        self.new = 0

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
                    self.write_tables()
                    tables_at, written = time.monotonic() + _SHARE * (time.monotonic() - began), True
            except OSError as reason:
                if reason.errno not in FULL:
                    raise
                log.error("%s; tried again in %d s", system_words(reason), _AGAIN)
                stop.wait(_AGAIN)

    def _pass(self, stop: Event) -> int:
        """Judge the first instances of the queue; return how many left it."""
        taken = self._queue.take(_TOGETHER, seconds=0.5)
        done = 0
        files = []
        for uid, path, stamp in taken:
            name = f"{uid}{SUFFIX}"
            if self._output.stamp_of(name) is None:
                files.append(File(name, path, stamp=stamp))
            else:  # killed between its record and its leaving
                self._pass_on(uid)
                done += 1
        for finished in outcomes(self._judge, files, self._pictures):
            finished = [(file, _short(file, outcome)) for file, outcome in finished]
            self._output.keep(finished)
            for file, outcome in finished:
                if isinstance(outcome, str):
                    log.warning("not judged: %s", outcome)
                self._pass_on(file.path.stem)
            done += len(finished)
            self.new += len(finished)
            log.info("%d judged; %d wait%s", self.new, self._queue.waiting, self._to_be_sent())
            if stop.is_set():
                break
        return done

    def _to_be_sent(self) -> str:
        return f", {self._queue.unsent} are to be sent" if self._send else ""

    def _pass_on(self, uid: str) -> None:
        self._queue.judged(uid, send=bool(self._send and self._send(uid)))

    def write_tables(self, others: Sequence[File] = ()) -> Predicted:
        """Write the tables and `predict.json`.

        Args:
            others: Instances that could not be fetched.
        """
        about: dict[str, Any] = about_judge(self._judge, self._output, self._own_normals)
        about |= {"waiting": self._queue.waiting, "unsent": self._queue.unsent}
        return Predicted(self._output.folder, self._output.finish(others, about), self.new)


def _short(file: File, outcome: Outcome) -> Outcome:
    """Name a file in a reason by its UID: it does not stay where it lies."""
    return outcome.replace(str(file.path), file.name) if isinstance(outcome, str) else outcome
