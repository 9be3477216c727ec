"""DICOM node that receives instances (C-ECHO and C-STORE SCP) into a queue, by pynetdicom."""

from __future__ import annotations

import errno
import logging
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from pneumo_ad.data.readers.limits import MOST_PIXELS
from pneumo_ad.dicom.addresses import is_uid
from pneumo_ad.dicom.extra import check_extra
from pneumo_ad.dicom.queue import InstanceQueue, OtherContentError, QueueFullError
from pneumo_ad.errors import ConfigError, printable, system_words

if TYPE_CHECKING:
    from pynetdicom.events import Event

log = logging.getLogger(__name__)

MOST_BYTES = 4 * MOST_PIXELS  # of an instance, with its header
ASSOCIATIONS = 10  # at a time; further ones are refused
SILENCE = 60.0  # seconds without a byte, after which a peer is given up
_PDU = 2**18  # bytes of a PDU that peers are told to send at most
_LONGEST_PDU = 4 * _PDU  # that is read all the same

# PS3.4, table B.2-1, and PS3.7, annex C
SUCCESS, OUT_OF_RESOURCES, CANNOT_UNDERSTAND, DUPLICATE = 0x0000, 0xA700, 0xC000, 0x0111


@dataclass(frozen=True)
class Tls:
    """Files of a node that talks TLS.

    Attributes:
        certificate: Certificate of the node, PEM.
        key: Its private key, PEM without a password.
        authority: Certificates of the authorities whose peers are let in, PEM; None lets every peer in.
    """

    certificate: Path
    key: Path
    authority: Path | None = None

    def context(self) -> ssl.SSLContext:
        """Open the files.

        Raises:
            ConfigError: A file is missing, or is not what it should be; without what it holds.
        """
        context = _TimedContext(ssl.PROTOCOL_TLS_SERVER)
        given = self.certificate, self.key, *([self.authority] if self.authority else [])
        try:
            context.load_cert_chain(self.certificate, self.key, password=lambda: "")
            if self.authority:
                context.load_verify_locations(self.authority)
                context.verify_mode = ssl.CERT_REQUIRED
        except (OSError, ValueError) as reason:  # of which those of ssl are some
            words = reason.strerror if isinstance(reason, FileNotFoundError) else "not PEM, or no pair"
            raise ConfigError(
                f"tls: {', '.join(map(str, given))} cannot be used ({words}); expected a certificate, its key without "
                "a password and, for tls_authority=, certificates of authorities, as PEM"
            ) from None
        return context


class _TimedContext(ssl.SSLContext):
    """Shakes hands in the thread of the association: a peer that says nothing must not hold up the others."""

    def wrap_socket(self, sock: Any, *arguments: Any, **options: Any) -> ssl.SSLSocket:
        sock.settimeout(SILENCE)
        return super().wrap_socket(sock, *arguments, **options | {"do_handshake_on_connect": False})


class Node:
    """Node that answers C-ECHO, and puts what comes by C-STORE into a queue.

    An instance is acknowledged once it is on the disk. A full queue or disk is answered with status A700, other content
    under a known UID with 0111, an invalid UID with C000; the peer gets the reason as Error Comment. Whatever a peer
    sends, the node goes on.

    Args:
        queue: Queue of received instances.
        host: Address to listen at.
        port: Port to listen at; 0 takes a free one.
        title: AE title of the node; associations that call another are rejected.
        allow: AE titles that may associate; empty lets all.
        tls: Files for TLS; None talks without.

    Raises:
        ConfigError: pynetdicom is missing, or the address cannot be listened at.
    """

    def __init__(
        self, queue: InstanceQueue, host: str, port: int, title: str, allow: Sequence[str] = (), tls: Tls | None = None
    ) -> None:
        check_extra("a DICOM node", "pynetdicom")
        logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)  # it holds what peers send
        from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, evt
        from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

        self._queue, self._title, self._allow = queue, title, allow
        self._closing = False
        context = tls.context() if tls else None
        node = AE(title)
        node.require_called_aet = True
        node.require_calling_aet = list(allow)
        node.maximum_associations, node.maximum_pdu_size = ASSOCIATIONS, _PDU
        node.acse_timeout = node.dimse_timeout = node.network_timeout = SILENCE
        node.add_supported_context(Verification)
        for kind in AllStoragePresentationContexts:
            node.add_supported_context(kind.abstract_syntax or "", ALL_TRANSFER_SYNTAXES)
        handlers: list[Any] = [(evt.EVT_CONN_OPEN, self._connected), (evt.EVT_C_STORE, self._store)]
        handlers += [(evt.EVT_REQUESTED, self._requested), (evt.EVT_REJECTED, self._rejected)]
        try:
            server = node.start_server((host, port), block=False, ssl_context=context, evt_handlers=handlers)
        except OSError as reason:
            taken = "another program listens there; " if reason.errno == errno.EADDRINUSE else ""
            raise ConfigError(
                f"host={host} port={port} cannot be listened at ({taken}{reason.strerror}); expected an address of "
                "this machine and a free port, above 1023 unless you are root"
            ) from None
        assert server is not None
        self._node, self.port = node, int(server.server_address[1])

    def __enter__(self) -> Node:
        """Return the node, which listens already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """See `close`."""
        self.close()

    def close(self) -> None:
        """Stop listening; instances that are not acknowledged yet are refused, or their associations end."""
        self._closing = True
        for association in self._node.active_associations:
            if not association.is_established and association.dul.socket is not None:
                association.dul.socket.close()  # pynetdicom cannot abort what was not asked for yet
        self._node.shutdown()

    def _connected(self, event: Event) -> None:
        transport = event.assoc.dul.socket
        if transport is None or transport.socket is None:
            return
        if len(self._node.active_associations) > 2 * ASSOCIATIONS:  # each takes threads before it asks for anything
            transport.close()
            return
        transport.socket.settimeout(SILENCE)
        transport.recv = _Reading(transport.socket)  # type: ignore[method-assign, assignment]

    def _requested(self, event: Event) -> None:
        log.debug("association from %s", _titles(event))

    def _rejected(self, event: Event) -> None:
        log.warning(
            "an association from %s was rejected; expected %s as called AE title%s, and at most %d associations at a "
            "time: mend the peer, or aet= and allow=",
            *(_titles(event), self._title, f", {', '.join(self._allow)} as calling" * bool(self._allow), ASSOCIATIONS),
        )

    def _store(self, event: Event) -> Any:
        """Answer a C-STORE with its status."""
        from pynetdicom.dsutils import encode_file_meta

        try:
            uid = str(event.request.AffectedSOPInstanceUID)  # type: ignore[union-attr]
            read = event.assoc.dul.socket.recv if event.assoc.dul.socket else None
            if isinstance(read, _Reading):
                read.count = 0
            if self._closing:
                return _status(OUT_OF_RESOURCES, "this node is being stopped; send it again later")
            if not is_uid(uid):
                log.warning("an instance from %s is refused: its SOP Instance UID is no UID", _titles(event))
                return _status(CANNOT_UNDERSTAND, "SOP Instance UID is no UID; expected numbers joined by dots")
            head = b"\0" * 128 + b"DICM" + encode_file_meta(event.file_meta)
            self._queue.put(uid, [head, event.encoded_dataset(include_meta=False)])  # joined, they would be copied
        except QueueFullError as reason:
            return _refused(OUT_OF_RESOURCES, str(reason))
        except OtherContentError as reason:
            return _refused(DUPLICATE, str(reason))
        except OSError as reason:
            return _refused(OUT_OF_RESOURCES, f"instance {uid} is refused: {system_words(reason)}")
        except Exception as reason:  # whatever a peer sends must not end the node
            log.debug("C-STORE", exc_info=True)
            return _refused(CANNOT_UNDERSTAND, f"an instance from {_titles(event)} is refused: {type(reason).__name__}")
        return SUCCESS


class _Reading:
    """Reading of an association's socket that ends it where a PDU or an instance is longer than any radiograph.

    pynetdicom reads as many bytes as a PDU announces, up to 4 GB, and bounds no instance.
    """

    def __init__(self, connection: Any) -> None:
        self._connection, self.count = connection, 0

    def __call__(self, length: int) -> bytearray:
        self.count += length
        if length > _LONGEST_PDU or self.count > MOST_BYTES:
            log.warning(
                "an association was ended: a PDU of %d bytes, %d bytes for one instance; expected at most %d and %d",
                *(length, self.count, _LONGEST_PDU, MOST_BYTES),
            )
            raise OSError(errno.EMSGSIZE, "too long")
        read = bytearray(length)
        view, there = memoryview(read), 0
        while there < length and (got := self._connection.recv_into(view[there:])):
            there += got
        view.release()
        del read[there:]
        return read


def _titles(event: Event) -> str:
    requestor = event.assoc.requestor
    return f"AE {printable(requestor.ae_title)} ({requestor.address}), which calls {_called(event)}"


def _called(event: Event) -> str:
    primitive = event.assoc.requestor.primitive
    return printable(str(primitive.called_ae_title if primitive else "nobody"))


def _refused(code: int, words: str) -> Any:
    log.warning("%s", words)
    return _status(code, words)


def _status(code: int, words: str) -> Any:
    from pydicom import Dataset

    status = Dataset()
    status.Status = code
    status.ErrorComment = words[:64]  # VR LO
    return status
