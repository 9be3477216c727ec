"""Derived instance ids: the same for the same radiograph, model and kind of object."""

from __future__ import annotations

from uuid import UUID, uuid5

_SPACE = UUID("6c1f3f0e-5f0b-4d52-9a56-2b0f6f6f0a11")  # of this project; another one gives other ids


def derived_uid(*parts: str) -> str:
    """Return an id of the form `2.25.` and a UUID as a number (DICOM PS3.5, B.2), which needs no registered root.

    The UUID is of version 5: a hash of the parts (RFC 9562, 5.5).

    Args:
        parts: Texts that the id depends on, for example the radiograph's own id, a digest of the model, and a kind.

    >>> derived_uid("1.2.3", "report").startswith("2.25.")
    True
    >>> derived_uid("1.2.3", "report") == derived_uid("1.2.3r", "eport")
    False
    """
    text = "\n".join(parts)
    return f"2.25.{uuid5(_SPACE, text).int}"
