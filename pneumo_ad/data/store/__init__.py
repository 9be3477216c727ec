"""Stores: decoded and fitted radiographs, cached as arrays on disk."""

from pneumo_ad.data.store.cached_array import cached_array
from pneumo_ad.data.store.opening import open_store
from pneumo_ad.data.store.store import Store

__all__ = ["Store", "cached_array", "open_store"]
