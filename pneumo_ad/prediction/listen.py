"""A DICOM node that judges what it receives."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event
from typing import Any

from pneumo_ad import __version__
from pneumo_ad.dicom.node import Node, Tls
from pneumo_ad.dicom.queue import InstanceQueue
from pneumo_ad.errors import printable
from pneumo_ad.prediction.arrivals import Arrivals
from pneumo_ad.prediction.folder import OutputFolder, check_folder, writable
from pneumo_ad.prediction.opening import open_predictor
from pneumo_ad.prediction.pictures import MapFormat, Pictures
from pneumo_ad.prediction.predict import Predicted
from pneumo_ad.prediction.site_calibration import calibrated, find_site, site_scores
from pneumo_ad.prediction.written import CALIBRATION

log = logging.getLogger(__name__)

QUEUE = "queue"  # folder of the received instances in the output


def listen(
    run: Path,
    output: Path,
    port: int,
    host: str = "127.0.0.1",
    title: str = "PNEUMO_AD",
    allow: Sequence[str] = (),
    tls: Tls | None = None,
    most: int = 1000,
    overrides: Sequence[str] = (),
    checkpoint: str = "best",
    maps: MapFormat = "png",
    overlays: bool = True,
    calibrate: Path | None = None,
    stop: Event | None = None,
) -> Predicted:
    """Receive DICOM instances and judge them, until SIGTERM, Ctrl-C or `stop`.

    Args:
        run: Run folder, or exported model.
        output: New or empty folder, or that of an earlier call, which is continued.
        port: Port to listen at; 0 takes a free one.
        host: Address to listen at.
        title: AE title of the node.
        allow: AE titles that may associate; empty lets all.
        tls: Files for TLS; None talks without.
        most: Most instances in the queue.
        overrides: Changes to the run's config; see `opening.CHANGEABLE`.
        checkpoint: See `load_run`.
        maps: Format of the anomaly maps.
        overlays: Whether heat maps over the radiographs are drawn.
        calibrate: Folder of normal radiographs of the same site; see `site_calibration`.
        stop: Event that ends it, for a call in another thread.

    Raises:
        ConfigError: An override that cannot be applied, an address that cannot be listened at, or a missing package.
        DataError: A run that cannot be opened, or an output folder that cannot be written to.
    """
    check_folder(output, overwrite=False)
    site = find_site(calibrate, output, []) if calibrate else None
    judge = open_predictor(run, overrides, checkpoint)
    asked: dict[str, Any] = {"run": printable(str(run.absolute())), "judge": judge.identity, "input": "listen"}
    asked |= {"overrides": sorted(overrides), "maps": maps, "overlays": overlays, "pneumo_ad": __version__}
    asked["calibrate"] = site and site.words
    with ExitStack() as stack:
        stack.enter_context(writable(output))
        if site:
            scores = site_scores(judge, site, output / CALIBRATION)
            judge = calibrated(judge, site, scores)
        into = OutputFolder(output, asked, overwrite=False)
        if site:
            scores.keep(output / CALIBRATION)
        queue = InstanceQueue(output / QUEUE, most, known=lambda uid: into.stamp_of(f"{uid}.dcm"))
        arrivals = Arrivals(judge, queue, into, Pictures(output, judge.standard, maps, overlays), site is None)
        stopping = stack.enter_context(stopped_by_signals(stop or Event()))
        node = stack.enter_context(Node(queue, host, port, title, allow, tls))
        log.info("%s listens at %s:%d; %d instances wait", title, host, node.port, queue.waiting)
        arrivals.judge_until(stopping)
        node.close()
        predicted = arrivals.write_tables()
        log.info("stopped; %d instances wait, and the same command goes on", len(queue))
        return predicted


@contextmanager
def stopped_by_signals(stop: Event) -> Iterator[Event]:
    """Set an event on the first SIGTERM or Ctrl-C; the second has its usual effect."""
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
