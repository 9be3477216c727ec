"""Sending of DICOM objects to another node or a DICOMweb server, again and again until it takes them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

from pneumo_ad.dicom.failures import UnreachableError
from pneumo_ad.dicom.send import Destination
from pneumo_ad.errors import DataError
from pneumo_ad.prediction.arrivals import Arrivals

log = logging.getLogger(__name__)

_TOGETHER = 16  # most instances of an association
_FIRST, _LONGEST = 1.0, 60.0  # seconds until a peer is tried again


class Sender:
    """Sends what was judged, in a thread of its own.

    A file that the peer refuses is not sent again before the next start, and keeps its place in the queue.

    Args:
        arrivals: Judge of the instances, with their queue.
        destination: Peer to send to.
        forward: Whether the instances themselves are sent too.
    """

    def __init__(self, arrivals: Arrivals, destination: Destination, forward: bool) -> None:
        self._arrivals, self._destination, self._forward = arrivals, destination, forward
        self._refused: set[str] = set()
        self._stop = Event()
        arrivals.send_on(forward)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Send within the context; what is at hand is finished at its end."""
        thread = Thread(target=self._run, name="sender", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def _run(self) -> None:
        pause = _FIRST
        while not self._stop.is_set():
            try:
                if not self._pass():
                    self._stop.wait(0.2)
                pause = _FIRST
            except UnreachableError as reason:
                unsent = self._arrivals.queue.unsent
                log.warning("send_to: %s. %d instances wait to be sent; again in %d s", reason, unsent, pause)
                self._stop.wait(pause)
                pause = min(2 * pause, _LONGEST)
            except Exception:  # one bad file must not end the sending of others
                log.exception("send_to failed; again in %d s", pause)
                self._stop.wait(pause)
                pause = min(2 * pause, _LONGEST)

    def _pass(self) -> int:
        """Send the first instances that wait; return their number."""
        queue = self._arrivals.queue
        instances = [one for one in queue.take_judged(seconds=0.5) if one.uid not in self._refused][:_TOGETHER]
        owners, left = dict[Path, str](), dict[str, int]()
        for uid, path, _ in instances:
            files = [*([path] if self._forward else []), *self._arrivals.objects_of(uid)]
            owners |= dict.fromkeys(files, uid)
            left[uid] = len(files)
        for file, refusal in self._destination.send(list(owners)):
            uid = owners[file]
            left[uid] -= 1
            if refusal:
                self._refused.add(uid)
                log.warning("send_to: %s; instance %s waits for the next start", refusal, uid)
            if not left[uid] and uid not in self._refused:
                queue.sent(uid)
        return len(instances)


def send_all(files: Sequence[Path], destination: Destination) -> int:
    """Send files once, and return their number.

    Args:
        files: DICOM files.
        destination: Peer to send to.

    Raises:
        UnreachableError: The peer is not there, breaks off, or refuses everything.
        DataError: The peer refused files; the first is named.
    """
    refused = []
    for number, (_, refusal) in enumerate(destination.send(files)):
        refused += [refusal] if refusal else []
        log.debug("%d of %d sent", number + 1, len(files))
    if refused:
        raise DataError(f"{len(refused)} of {len(files)} objects were not stored: {refused[0]}. The others are stored")
    return len(files)
