"""A DICOM node that judges what it receives."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from threading import Event

from pneumo_ad.dicom.node import Node, Tls
from pneumo_ad.dicom.send import open_destination
from pneumo_ad.prediction.arrivals import Judging, stopped_by_signals
from pneumo_ad.prediction.predicted import Predicted
from pneumo_ad.prediction.sending import Sender

log = logging.getLogger(__name__)


def listen(
    judging: Judging,
    port: int,
    host: str = "127.0.0.1",
    title: str = "PNEUMO_AD",
    allow: Sequence[str] = (),
    tls: Tls | None = None,
    most: int = 1000,
    send_to: str = "",
    forward: bool = False,
    stop: Event | None = None,
) -> Predicted:
    """Receive DICOM instances and judge them, until SIGTERM, Ctrl-C or `stop`.

    Args:
        judging: Settings of the prediction.
        port: Port to listen at; 0 takes a free one.
        host: Address to listen at.
        title: AE title of the node.
        allow: AE titles that may associate; empty lets all.
        tls: Files for TLS; None talks without.
        most: Most instances in the queue.
        send_to: Node (`AE@host:port`) or server (`dicomweb:URL`) that DICOM objects are sent to; "" sends nothing.
        forward: Whether the instances themselves are sent there too.
        stop: Event that ends it, for a call in another thread.

    Raises:
        ConfigError: An override that cannot be applied, an address that cannot be listened at, or a missing package.
        DataError: A run that cannot be opened, or an output folder that cannot be written to.
    """
    destination = open_destination(send_to, title, "send_to") if send_to else None
    with ExitStack() as stack:
        arrivals = stack.enter_context(judging.opened({"input": "listen"}, most))
        stopping = stack.enter_context(stopped_by_signals(stop or Event()))
        node = stack.enter_context(Node(arrivals.queue, host, port, title, allow, tls))
        if destination:
            stack.enter_context(Sender(arrivals, destination, forward).running())
        if not host.startswith("127.") and not allow and not (tls and tls.authority):
            log.warning("host=%s lets every peer in; allow=AE,AE and tls_authority=FILE let in whom you know", host)
        log.info("%s listens at %s:%d; %d instances wait", title, host, node.port, arrivals.queue.waiting)
        arrivals.judge_until(stopping)
        node.close()
        left = len(arrivals.queue)
        predicted = arrivals.write_tables("unfinished" if left else "finished")
        log.info("stopped; %d instances wait, and the same command goes on", left)
        return predicted
