"""Sending of DICOM files to a node (C-STORE SCU, by pynetdicom) or to a DICOMweb server."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from pneumo_ad.dicom.addresses import DICOMWEB, node_of, server_of
from pneumo_ad.dicom.extra import check_extra
from pneumo_ad.dicom.failures import UnreachableError
from pneumo_ad.dicom.web import Server

TIMEOUT = 30.0  # seconds
_CONTEXTS = 128  # most of an association: PS3.8, 9.3.2


class Destination(Protocol):
    """Peer that files are sent to.

    Attributes:
        words: Name for messages.
    """

    words: str

    def send(self, files: Sequence[Path]) -> Iterator[tuple[Path, str]]:
        """Send files; yield each once it is stored with "", or with the reason why the peer refuses it.

        Args:
            files: DICOM files.

        Raises:
            UnreachableError: The peer is not there, breaks off, or refuses everything; the files that were not
                yielded may be sent again.
        """
        ...


class Peer:
    """A DICOM node.

    Args:
        title: AE title of the node.
        host: Its address.
        port: Its port.
        own_title: AE title to call from.

    Raises:
        ConfigError: pynetdicom is missing.
    """

    def __init__(self, title: str, host: str, port: int, own_title: str) -> None:
        check_extra("a DICOM node", "pynetdicom")
        logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)
        self._address, self._title, self._own_title = (host, port), title, own_title
        self.words = f"{title}@{host}:{port}"

    def send(self, files: Sequence[Path]) -> Iterator[tuple[Path, str]]:
        """See `Destination`."""
        from pydicom import dcmread
        from pynetdicom import AE, _config

        _config.STORE_SEND_CHUNKED_DATASET = True  # as received, in its transfer syntax, without decoding
        kinds: dict[Path, tuple[str, str]] = {}
        for file in files:
            try:
                meta = dcmread(file, stop_before_pixels=True, specific_tags=["SOPClassUID"]).file_meta
                kinds[file] = str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID)
            except Exception as reason:  # damaged headers make pydicom raise errors of many types
                yield file, f"{file.name} cannot be sent: it is no whole DICOM file ({type(reason).__name__})"
        for kind in list(dict.fromkeys(kinds.values()))[_CONTEXTS:]:  # more than an association takes: next time
            kinds = {file: one for file, one in kinds.items() if one != kind}
        if not kinds:
            return
        node = AE(self._own_title)
        node.connection_timeout = node.acse_timeout = node.dimse_timeout = node.network_timeout = TIMEOUT
        for one in dict.fromkeys(kinds.values()):
            node.add_requested_context(*one)
        association = node.associate(*self._address, ae_title=self._title)
        if not association.is_established:
            raise UnreachableError(self._why_not(association))
        try:
            for file in kinds:
                yield file, self._stored(association, file)
        finally:
            if association.is_established:
                association.release()

    def _stored(self, association: Any, file: Path) -> str:
        try:
            status = association.send_c_store(file)
        except ValueError:  # no presentation context was accepted
            return f"{self.words} refused {file.name}: it takes no such object, or not in this transfer syntax"
        except RuntimeError:
            raise UnreachableError(f"{self.words} broke off; what is left is sent again") from None
        if "Status" not in status:
            raise UnreachableError(f"{self.words} broke off, or gave no answer in {TIMEOUT:g} s; it is sent again")
        if 0xA700 <= status.Status <= 0xA7FF:
            raise UnreachableError(f"{self.words} is out of resources (status {status.Status:#06x}); it is sent again")
        if status.Status == 0 or 0xB000 <= status.Status <= 0xBFFF:  # success, or a warning about what was stored
            return ""
        return f"{self.words} refused {file.name} (status {status.Status:#06x})"

    def _why_not(self, association: Any) -> str:
        if association.is_rejected:
            primitive = association.acceptor.primitive
            reason = primitive.reason_str.lower() if primitive is not None else "no reason given"
            return (
                f"{self.words} rejects {self._own_title}: {reason}; expected that it knows the AE title {self._title} "
                f"as its own and {self._own_title} as a peer"
            )
        if association.is_aborted and association.acceptor.primitive is None:
            return (
                f"{self.words} is not there, or is no DICOM node: no association in {TIMEOUT:g} s; start it, or mend "
                "the host and port"
            )
        return f"{self.words} takes none of the objects that are to be sent, or ended the association"


def open_destination(text: str, own_title: str, key: str) -> Destination:
    """Open what `AE@host:port` or `dicomweb:URL` names; nothing is connected yet.

    Args:
        text: Address.
        own_title: AE title to call from.
        key: Key of the command, for messages.

    Raises:
        ConfigError: A package is missing, or the environment holds half of the credentials.
    """
    if text.startswith(DICOMWEB):
        return Server(server_of(text), key)
    return Peer(*node_of(text), own_title)
