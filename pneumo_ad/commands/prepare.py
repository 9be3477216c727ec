"""`pneumo-ad prepare`: stores, lung fields and grey levels made ahead of training, shard by shard."""

from __future__ import annotations

import logging
import multiprocessing
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

from pneumo_ad.errors import ConfigError
from pneumo_ad.runs.command import Command

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from pneumo_ad.data.store.store import Store

log = logging.getLogger(__name__)


class Prepared(NamedTuple):
    """One shard, ready.

    Attributes:
        shard: Its number, from 0.
        store: Open.
        seconds: By what was made, `radiographs` or `lung fields and grey levels`; what was there already is not in it.
    """

    shard: int
    store: Store
    seconds: dict[str, float]


def prepare(config: DictConfig) -> list[Prepared]:
    """The command: prepare what a config describes, one shard or all of them, and print what was made.

    Returns:
        The shards prepared, in their order.

    Raises:
        ConfigError: `num_shards` or `shard` that cannot be, or another value that cannot.
        DataError: See `check_table` and `open_store`.
    """
    from pneumo_ad.data.fit import sides
    from pneumo_ad.data.shards import split_table
    from pneumo_ad.data.sources.table import check_table
    from pneumo_ad.data.store.store import open_store, store_folder
    from pneumo_ad.runs.compose import build
    from pneumo_ad.runs.jobs import end_with_parent
    from pneumo_ad.runs.trust import name_own

    if multiprocessing.current_process().name != "MainProcess":
        end_with_parent()  # a launcher's worker
    name_own(config)
    image_size, lungs, intensity = sides(config.image_size), build(config.lungs), build(config.intensity)
    parts = split_table(check_table(build(config.data)), config.num_shards)
    done = []
    for shard in _chosen(config.shard, len(parts)):
        part = parts[shard]
        there = (store_folder(part, image_size, config.fit) / "store.json").is_file()
        started = time.perf_counter()
        store = open_store(part, image_size, config.fit, config.on_error)
        stored = time.perf_counter()
        before = _arrays(store)
        intensity(store, lungs(store))
        seconds = {} if there else {"radiographs": stored - started}
        if _arrays(store) != before:
            seconds["lung fields and grey levels"] = time.perf_counter() - stored
        done.append(Prepared(shard, store, seconds))
        log.info(_told(done[-1], len(parts)))
    return done


def _chosen(shard: object, shards: int) -> Iterable[int]:
    if shard is None:
        return range(shards)
    if isinstance(shard, bool) or not isinstance(shard, int) or not 0 <= shard < shards:
        raise ConfigError(
            f"shard={shard} is out of range: num_shards={shards} has shards 0 to {shards - 1}; null prepares all"
        )
    return [shard]


def _arrays(store: Store) -> set[str]:
    """Names of what lies in a store."""
    return {file.name for file in store.folder.glob("*.npy")}


def _told(one: Prepared, shards: int) -> str:
    """A line about a shard: what was made, how fast, or that it was there."""
    count, left_out = len(one.store), len(one.store.skipped)
    made = [f"{what} in {took:.1f} s ({count / took:.1f}/s)" for what, took in one.seconds.items()]
    return (
        f"shard {one.shard} of {shards}: {count} radiographs, store {one.store.key}: "
        f"{', '.join(made) if made else 'was there'}"
        f"{f'; {left_out} cannot be read and are left out' if left_out else ''}"
    )


def _load() -> Callable[..., object]:
    return prepare


def _run(arguments: list[str]) -> None:
    from pneumo_ad.runs.hydra_command import run_hydra

    # Whether there is something to do the stores tell, not a run folder.
    run_hydra("prepare", arguments, _load, lambda config, load: load()(config))


COMMAND = Command(
    section="use",
    place=4,
    summary="decode and segment ahead of training, in shards",
    example="data=... num_shards=8 [shard=3] [-m]",
    run=_run,
)
