"""Values of a DICOM header in messages: a damaged header may hold a patient's name in any of its elements."""

from __future__ import annotations

import re

from pydicom.datadict import tag_for_keyword

_CODE = re.compile(r"[A-Z0-9 _]{0,16}")  # VR CS: PS3.5, 6.2
_QUOTED = re.compile(r"b?(['\"])(.*?)\1")
_OWN = frozenset({"FileDataset", "Dataset"})  # pydicom's


def code_of(value: object) -> str:
    """Return a code string for a message; another text only as its length.

    >>> code_of("CT"), code_of("Doe^Jane"), code_of(None)
    ('CT', '(8 characters that are no code)', '')
    """
    text = str(value or "").strip()
    return text if _CODE.fullmatch(text) else f"({len(text)} characters that are no code)"


def without_values(words: str) -> str:
    """Remove quoted texts from a message of pydicom, but for keywords of DICOM.

    >>> without_values("'FileDataset' object has no attribute 'Rows'"), without_values("invalid literal: 'Doe^Jane'")
    ("'FileDataset' object has no attribute 'Rows'", 'invalid literal: (value)')
    """
    return _QUOTED.sub(
        lambda match: match[0] if match[2] in _OWN or tag_for_keyword(match[2]) is not None else "(value)", words
    )
