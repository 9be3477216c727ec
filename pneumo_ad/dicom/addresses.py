"""Addresses of DICOM nodes and DICOMweb servers, as typed. No heavy imports."""

from __future__ import annotations


def check_title(text: str) -> str:
    """Read an AE title.

    Raises:
        ValueError: It is none; says what is expected.
    """
    if not (1 <= len(text.strip()) <= 16 and text.isascii() and text.isprintable() and "\\" not in text):
        raise ValueError("an AE title: 1 to 16 characters of ASCII without \\")
    return text.strip()


def address_of(text: str) -> tuple[str, str, int]:
    """Read the address of a node, `AE@host:port`.

    Raises:
        ValueError: It is none; says what is expected.

    >>> address_of("PACS@10.0.0.7:104")
    ('PACS', '10.0.0.7', 104)
    """
    title, at, rest = text.rpartition("@")
    host, colon, port = rest.rpartition(":")
    if not (at and colon and host and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError("a DICOM node as AE@HOST:PORT, for example PACS@10.0.0.7:104")
    return check_title(title), host, int(port)
