"""Addresses of DICOM nodes and DICOMweb servers, as typed. No heavy imports."""

from __future__ import annotations

import re
from datetime import datetime
from urllib.parse import urlsplit

from pneumo_ad.errors import ConfigError

DICOMWEB = "dicomweb:"
_UID = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))*")  # PS3.5, 9.1
USER, PASSWORD, TOKEN = (f"PNEUMO_AD_DICOMWEB_{name}" for name in ("USER", "PASSWORD", "TOKEN"))


def check_title(text: str) -> str:
    """Read an AE title.

    Raises:
        ValueError: It is none; says what is expected.
    """
    if not (1 <= len(text.strip()) <= 16 and text.isascii() and text.isprintable() and "\\" not in text):
        raise ValueError("an AE title: 1 to 16 characters of ASCII without \\")
    return text.strip()


def node_of(text: str) -> tuple[str, str, int]:
    """Read the address of a node, `AE@host:port`.

    Raises:
        ValueError: It is none; says what is expected.

    >>> node_of("PACS@10.0.0.7:104")
    ('PACS', '10.0.0.7', 104)
    """
    title, at, rest = text.rpartition("@")
    host, colon, port = rest.rpartition(":")
    if not (at and colon and host and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError("a DICOM node as AE@HOST:PORT, for example PACS@10.0.0.7:104")
    return check_title(title), host, int(port)


def server_of(text: str) -> str:
    """Read the address of a DICOMweb server, `dicomweb:URL`, and return the URL.

    Raises:
        ConfigError: It holds credentials or a query, which would end in logs and records; the message does not.
        ValueError: It is none; says what is expected.

    >>> server_of("dicomweb:https://pacs.example/dicom-web/")
    'https://pacs.example/dicom-web'
    """
    if set("@?#") & set(text):
        raise ConfigError(
            "dicomweb:... holds credentials or a query, which would end in records and process lists; expected "
            f"dicomweb:https://HOST[:PORT]/PATH, and {USER} and {PASSWORD}, or {TOKEN}, in the environment"
        )
    url = urlsplit(text.removeprefix(DICOMWEB))
    try:
        there = url.hostname and url.port != 0
    except ValueError:
        there = False
    if url.scheme not in ("http", "https") or not there:
        raise ValueError("a DICOMweb server as dicomweb:https://HOST[:PORT]/PATH")
    return url.geturl().rstrip("/")


def destination_words(text: str) -> str:
    """Check the address of a node or a DICOMweb server.

    Raises:
        ConfigError: See `server_of`.
        ValueError: It is neither; says what is expected.
    """
    server_of(text) if text.startswith(DICOMWEB) else node_of(text)
    return text


def patient_of(text: str) -> str:
    r"""Check a Patient ID; the message does not hold it.

    Raises:
        ConfigError: It is longer than 64 characters, or holds `\`, `*` or `?`, by which a server finds several.
    """
    if len(text) > 64 or set("\\*?") & set(text):
        raise ConfigError("patient=... is no Patient ID; expected one of at most 64 characters, without \\, * and ?")
    return text


def study_of(text: str) -> str:
    """Check a Study Instance UID.

    Raises:
        ValueError: It is none; says what is expected.
    """
    if not is_uid(text):
        raise ValueError("a Study Instance UID: numbers joined by dots, at most 64 characters")
    return text


def date_of(text: str) -> str:
    """Check a date, or a range of two dates, of which one may be left out.

    Raises:
        ValueError: It is neither; says what is expected.

    >>> date_of("20260131"), date_of("20260101-20260131"), date_of("20260101-")
    ('20260131', '20260101-20260131', '20260101-')
    """
    parts = text.split("-")
    try:
        for part in filter(None, parts):
            datetime.strptime(part, "%Y%m%d")
    except ValueError:
        parts = []
    if not (any(parts) and len(parts) <= 2 and all(len(part) in (0, 8) for part in parts)):
        raise ValueError("a day as YYYYMMDD, or two as YYYYMMDD-YYYYMMDD")
    return text


def is_uid(text: str) -> bool:
    """Whether a text is a UID: numbers joined by dots, at most 64 characters.

    >>> is_uid("1.2.840.10008"), is_uid("../1.2"), is_uid("1.02"), is_uid("1." * 40 + "1")
    (True, False, False, False)
    """
    return len(text) <= 64 and _UID.fullmatch(text) is not None
