"""Prediction for the radiographs of studies on a DICOMweb server (`input=dicomweb:URL`)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from threading import Event

from pneumo_ad.dicom.failures import RefusedError, UnreachableError
from pneumo_ad.dicom.queue import SUFFIX, InstanceQueue, OtherContentError, QueueFullError
from pneumo_ad.dicom.web import Query, Server, WebInstance
from pneumo_ad.prediction.arrivals import Judging, stopped_by_signals
from pneumo_ad.prediction.inputs import File
from pneumo_ad.prediction.predicted import Predicted
from pneumo_ad.runs.jobs import INTERRUPTED

log = logging.getLogger(__name__)

_AHEAD = 64  # most instances that are fetched before they are judged
_REQUESTS = 4  # at a time


def predict_dicomweb(judging: Judging, url: str, query: Query) -> Predicted:
    """Fetch the radiographs of studies, and judge each once; the files are deleted once they are judged.

    Args:
        judging: Settings of the prediction.
        url: Base URL of the server.
        query: Studies to fetch.

    Raises:
        ConfigError: A missing package, or an override that cannot be applied.
        DataError: No study with a radiograph, a server that does not answer as it should, a run that cannot be opened,
            or an output folder that cannot be written to.
        SystemExit: Interrupted by Ctrl-C or SIGTERM; the same command continues.
    """
    server = Server(url)
    instances = {one.uid: one for one in server.search(query)}  # before the model is opened
    log.info("%s: %d radiographs of %s", server.words, len(instances), query.words)
    with ExitStack() as stack:
        arrivals = stack.enter_context(judging.opened({"input": f"dicomweb:{url}", "query": query.words}, _AHEAD))
        stopping = stack.enter_context(stopped_by_signals(Event()))
        left = [one for one in instances.values() if not arrivals.is_known(one.uid)]
        fetching = stack.enter_context(_Fetching(server, arrivals.queue, left, stopping))
        arrivals.judge_until(stopping, ended=fetching.ended)
        if fetching.failure:
            arrivals.write_tables("unfinished", fetching.refused)
            raise fetching.failure
        if stopping.is_set():
            arrivals.write_tables("unfinished", fetching.refused)
            log.warning("stopped; the same command goes on")
            raise SystemExit(INTERRUPTED)
        return arrivals.write_tables("finished", fetching.refused)


class _Fetching:
    """Fetches instances into a queue, in threads; one that is refused is named, and a server that is gone ends all."""

    def __init__(self, server: Server, queue: InstanceQueue, left: Sequence[WebInstance], stop: Event) -> None:
        self._server, self._queue, self._stop = server, queue, stop
        self.refused: list[File] = []
        self.failure: UnreachableError | None = None
        self._pool = ThreadPoolExecutor(_REQUESTS)
        self._futures = [self._pool.submit(self._fetch, one) for one in left]

    def __enter__(self) -> _Fetching:
        """Return this, which fetches already."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it; what is fetched just now is finished."""
        self._stop.set()
        self._pool.shutdown(cancel_futures=True)

    def ended(self) -> bool:
        """Whether nothing more will come; raises what no check foresaw."""
        done = all(future.done() for future in self._futures)
        for future in self._futures if done else ():
            if not future.cancelled():
                future.result()
        return done

    def _fetch(self, instance: WebInstance) -> None:
        if self._stop.is_set():
            return
        try:
            content = BytesIO()
            self._server.fetch(instance).save_as(content, enforce_file_format=True)
            while not self._stop.is_set():
                try:
                    self._queue.put(instance.uid, [content.getvalue()], seconds=1)
                    return
                except QueueFullError:
                    continue
        except UnreachableError as reason:
            self.failure = self.failure or reason
            self._stop.set()
        except (RefusedError, OtherContentError) as reason:
            log.warning("not judged: %s", reason)
            name = f"{instance.uid}{SUFFIX}"
            self.refused.append(File(name, Path(name), "unreadable", str(reason)))
