"""Failures of a peer: one that may pass, and one of an instance alone."""

from __future__ import annotations

from pneumo_ad.errors import DataError


class UnreachableError(DataError):
    """Peer that is not there, breaks off, or refuses everything: later it may not."""


class RefusedError(DataError):
    """Instance that a peer refuses, or answers for with something else."""
