"""Radiographs decoded and fitted once, kept in the cache as arrays."""

from pneumo_ad.data.store.cached_array import cached_array
from pneumo_ad.data.store.opening import open_store
from pneumo_ad.data.store.store import Store

__all__ = ["Store", "cached_array", "open_store"]
