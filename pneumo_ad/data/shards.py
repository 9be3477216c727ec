"""A table too large for one machine's patience: its stores are built apart, by whoever has time, and open as one.

A shard is a store. The rows of a table are cut into n stretches that differ by one in length at most, each is built by
`pneumo-ad prepare` wherever the files and the cache folder can be seen, and `open_shards` joins them: row i of what it
opens is the radiograph that row i of the unsharded store would be.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from filelock import FileLock

from pneumo_ad.data.fit import Fit
from pneumo_ad.data.store.build import OnError
from pneumo_ad.data.store.store import Store, check_on_error, mark_used, read_about, read_store, store_folder
from pneumo_ad.errors import ConfigError, DamagedError, DataError
from pneumo_ad.files import write_json
from pneumo_ad.patches.joined import join
from pneumo_ad.saved import MIB, is_there, read_json

MissingShards = Literal["raise", "skip"]


class Shards(NamedTuple):
    """What `open_shards` found.

    Attributes:
        store: Those that are there, joined.
        missing: Numbers of those that are not, counted from 0.
    """

    store: Store
    missing: tuple[int, ...]


def split_table(table: pd.DataFrame, shards: int) -> list[pd.DataFrame]:
    """Cut a table into stretches of its rows, in order, whose lengths differ by one at most.

    Args:
        table: A checked table (`check_table`), which is sorted: everybody cuts it alike.
        shards: How many.

    Raises:
        ConfigError: Fewer than one, or more than radiographs.

    >>> [len(part) for part in split_table(pd.DataFrame({"image": list("abcde")}), 2)]
    [3, 2]
    """
    if isinstance(shards, bool) or not isinstance(shards, int) or not 1 <= shards <= len(table):
        raise ConfigError(f"{shards} shards of {len(table)} radiographs; expected a number from 1 to {len(table)}")
    return [table.iloc[rows].reset_index(drop=True) for rows in np.array_split(np.arange(len(table)), shards)]


def open_shards(
    table: pd.DataFrame,
    image_size: tuple[int, int],
    fit: Fit,
    shards: int,
    on_error: OnError = "raise",
    missing: MissingShards = "raise",
    cache: Path | None = None,
) -> Shards:
    """Open the shards of a table as one store; none is built.

    Args:
        table: A checked table (`check_table`).
        image_size: Height and width in pixels.
        fit: See `place`.
        shards: Into how many the table was cut.
        on_error: See `open_store`.
        missing: What to do where a shard is not there: `raise`, or `skip` its radiographs.
        cache: Folder of stores; default `cache_dir() / "stores"`.

    Raises:
        DataError: A shard is not there (names the command that builds it), or none is; see `read_store`.
        ConfigError: An unknown `on_error` or `missing`; see `split_table`.
    """
    check_on_error(on_error)
    check_missing(missing)
    parts = split_table(table, shards)
    folders = [store_folder(part, image_size, fit, cache) for part in parts]
    there = [is_there(folder / "store.json") for folder in folders]
    absent = tuple(number for number, whole in enumerate(there) if not whole)
    if absent and (missing == "raise" or len(absent) == shards):
        raise DataError(_not_there(absent, shards, image_size, fit, folders[0].parent))
    opened = [
        _opened(number, folders, parts[number], image_size, fit, on_error)
        for number, whole in enumerate(there)
        if whole
    ]
    return Shards(join_stores(opened), absent)


def _opened(
    number: int, folders: Sequence[Path], part: pd.DataFrame, image_size: tuple[int, int], fit: Fit, on_error: OnError
) -> Store:
    try:
        return read_store(folders[number], part, on_error)
    except DamagedError as reason:
        hint = _not_there([number], len(folders), image_size, fit, folders[0].parent)
        raise DamagedError(f"{reason}; {hint}") from reason


def check_missing(missing: MissingShards) -> None:
    """Raises `ConfigError` for what is not known."""
    if missing not in ("raise", "skip"):
        raise ConfigError(f"missing_shards={missing!r} is not known; expected 'raise' or 'skip'")


def _not_there(absent: Sequence[int], shards: int, image_size: tuple[int, int], fit: Fit, cache: Path) -> str:
    height, width = image_size
    size = f"{height}" if height == width else f"[{height},{width}]"
    numbers = ",".join(map(str, absent))
    each = f"shard={numbers}" if len(absent) == 1 else f"shard={numbers} -m"
    left_out = "" if len(absent) == shards else ", or leave their radiographs out: missing_shards=skip"
    return (
        f"{len(absent)} of {shards} shards are not in {cache}: {numbers.replace(',', ', ')}. Build them with data=..., "
        f"lungs=... and intensity=... as given here: pneumo-ad prepare data=... image_size={size} fit={fit} "
        f"num_shards={shards} {each}{left_out}"
    )


def join_stores(stores: Sequence[Store]) -> Store:
    """Several stores as one, row after row; one store is left as it is.

    What is kept beside the whole (`cached_array`) lies in a folder of its own, named by the keys of the stores.

    Args:
        stores: At least one, in the order of their rows.

    Raises:
        DataError: Stores of different image size or fit, or that share a radiograph; names both.
    """
    first = stores[0]
    if len(stores) == 1:
        return first
    about = [read_about(store.folder) for store in stores]
    for store, own in zip(stores, about, strict=True):
        for word, mine, its in (
            ("image_size", first.image_size, store.image_size),
            ("fit", about[0]["fit"], own["fit"]),
        ):
            if mine != its:
                raise DataError(
                    f"stores of different {word} cannot be opened together: {first.folder} has {mine}, {store.folder} "
                    f"has {its}; prepare them anew with the same {word}"
                )
    table = pd.concat([store.table for store in stores], ignore_index=True)
    double = table["image"][table["image"].duplicated()]
    if len(double):
        holding = [str(store.folder) for store in stores if (store.table["image"] == double.iloc[0]).any()]
        raise DataError(
            f"{len(double)} radiographs are in more than one store, for example {double.iloc[0]} in "
            f"{' and '.join(holding)}; open stores of different radiographs together"
        )
    folder = first.folder.with_name(joined_key([store.key for store in stores]))
    _describe(folder, about[0] | {"images": len(table), "skipped": {}, "shards": [store.key for store in stores]})
    return Store(
        images=join([store.images for store in stores]),
        lung=join([store.lung for store in stores]),
        opacity=join([store.opacity for store in stores]),
        table=table,
        skipped={image: reason for store in stores for image, reason in store.skipped.items()},
        folder=folder,
        shards=tuple(stores),
    )


def joined_key(keys: Sequence[str]) -> str:
    """The key of several stores as one; that of one is its own."""
    return keys[0] if len(keys) == 1 else hashlib.sha256(" ".join(keys).encode()).hexdigest()[:16]


def _describe(folder: Path, about: dict[str, object]) -> None:
    """A folder for what belongs to the whole, listed and cleared as stores are; one that says so already is read."""
    file = folder / "store.json"
    with suppress(DamagedError):  # made anew, from what it tells of
        if read_json(file, most=256 * MIB) == json.loads(json.dumps(about)):
            mark_used(folder)
            return
    with FileLock(f"{folder}.lock"):
        folder.mkdir(exist_ok=True)
        write_json(file, about)
