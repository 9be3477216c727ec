"""Audit of data sets: duplicates, counts and findings, figure, printed tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pneumo_ad import doors

if TYPE_CHECKING:
    from pneumo_ad.audit.audit import audit_data
    from pneumo_ad.audit.duplicates import Pair, find_duplicates, warn_of_copies
    from pneumo_ad.audit.printing import print_audit

__all__ = ["Pair", "audit_data", "find_duplicates", "print_audit", "warn_of_copies"]

__getattr__, __dir__ = doors(
    __name__, {"audit": "audit_data", "duplicates": "Pair find_duplicates warn_of_copies", "printing": "print_audit"}
)
