"""Opening of a table's store: read, joined from the parts of `pneumo-ad prepare`, or built."""

from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd
from filelock import FileLock

from pneumo_ad.data.fit import Fit
from pneumo_ad.data.store.build import OnError, build_store
from pneumo_ad.data.store.parts import join_parts, remove_parts
from pneumo_ad.data.store.store import Store, earlier_key, read_store, remove_store, store_folder
from pneumo_ad.errors import ConfigError, DamagedError
from pneumo_ad.files import writable_cache
from pneumo_ad.saved import is_there

log = logging.getLogger(__name__)


def open_store(
    table: pd.DataFrame,
    image_size: tuple[int, int],
    fit: Fit = "squash",
    on_error: OnError = "raise",
    cache: Path | None = None,
) -> Store:
    """Open the store of a table; if it is missing or damaged, join it from its parts or build it.

    Args:
        table: Checked table (`check_table`).
        image_size: Height and width in pixels.
        fit: See `place`.
        on_error: Treatment of a file that cannot be read: `raise` an error, or `skip` it and keep its name and reason.
        cache: Folder of stores; default `cache_dir() / "stores"`.

    Raises:
        DataError: A file that cannot be read or a box outside its image (`on_error=raise`), no file that can be used,
            no room on the disk, a store that is damaged and cannot be replaced, or parts of which some are missing.
        ConfigError: An unknown `on_error`, or the store is to be built and `cache_dir()` cannot be written to.
    """
    check_on_error(on_error)
    folder = store_folder(table, image_size, fit, cache)
    try:
        if is_there(folder / "store.json"):
            return read_store(folder, table, on_error)
    except DamagedError as reason:
        log.warning("%s: the store is rebuilt", reason)
    if cache is None:
        writable_cache()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        try:
            return read_store(folder, table, on_error)  # another process built it while we waited
        except DamagedError as reason:
            try:
                remove_store(folder)
            except OSError:
                raise reason from None  # no permission, or a read-only disk
        earlier = earlier_key(table, image_size, fit)
        if (folder.with_name(earlier) / "store.json").is_file():
            log.warning(
                "store %s of these files is of an earlier version, and a new one is built; "
                "`pneumo-ad store clear=%s` clears the old one",
                *(earlier, earlier),
            )
        if not join_parts(folder, table, image_size, fit):
            build_store(table, image_size, fit, on_error, folder)
    remove_parts(folder)
    return read_store(folder, table, on_error)


def check_on_error(on_error: OnError) -> None:
    """Raise `ConfigError` for an unknown value."""
    if on_error not in ("raise", "skip"):
        raise ConfigError(f"on_error={on_error!r} is not known; expected 'raise' or 'skip'")
