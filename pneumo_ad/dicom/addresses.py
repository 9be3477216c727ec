"""Addresses of DICOM nodes and DICOMweb servers, as typed. No heavy imports."""

from __future__ import annotations

from urllib.parse import urlsplit

from pneumo_ad.errors import ConfigError

DICOMWEB = "dicomweb:"
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
