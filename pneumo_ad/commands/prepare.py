"""`pneumo-ad prepare`: a store, its lung fields and grey levels built before training, in shards for many processes."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pneumo_ad.runs.command import Command
from pneumo_ad.runs.hydra_command import run_hydra

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from pneumo_ad.data.store.store import Store


USAGE = """\
pneumo-ad prepare data=GROUP data.root=DIR [num_shards=N] [shard=I] [key=value] ...

Decodes and fits radiographs, segments their lungs and normalises their grey levels, as training
would, and keeps the results in the cache folder (PNEUMO_AD_CACHE). Finished shards are kept, so the
same command continues after a kill; several at once, on one machine or on many that share the
folder, do not clash. The last shard, or the first training, joins all of them into one store.

  pneumo-ad prepare data=folder data.root=DIR num_shards=8      all, one after the other
  pneumo-ad prepare -m data=folder data.root=DIR num_shards=8 'shard=range(0,8)' \\
      hydra/launcher=joblib                                     several at once
  pneumo-ad train data=folder data.root=DIR                     finds them as one store

Groups, with the default of each and its choices:

{groups}

Keys, with their defaults:

  data.root=DIR          folder of radiographs, for all sources but the phantoms
  image_size=256         side, or [height,width], of fitted radiographs in pixels
  fit=squash             or pad, which keeps the aspect ratio
  on_error=raise         or skip, for files that cannot be read
  num_shards=1           stretches of the sorted table
  shard=null             number of the one to prepare, from 0; null prepares all
"""


def prepare(config: DictConfig) -> None:
    """Prepare the configured shards, join them if all are there, and print the results.

    Raises:
        ConfigError: An invalid `num_shards`, `shard` or other value.
        DataError: See `check_table` and `open_store`.
    """
    from pneumo_ad.data.fit import sides
    from pneumo_ad.data.shards import check_shard
    from pneumo_ad.data.sources.table import check_table
    from pneumo_ad.data.store.opening import check_on_error, open_store
    from pneumo_ad.data.store.parts import opened_part, part_folder, parts_there, remove_parts, split_table
    from pneumo_ad.data.store.store import store_folder
    from pneumo_ad.runs.compose import build
    from pneumo_ad.runs.trust import name_own

    name_own(config)
    image_size, lungs, intensity = sides(config.image_size), build(config.lungs), build(config.intensity)
    table, shards = check_table(build(config.data)), config.num_shards
    count = len(split_table(table, shards))
    check_shard(config.shard, count)
    check_on_error(config.on_error)
    folder = store_folder(table, image_size, config.fit)

    def derive(store: Store) -> None:
        if len(store):  # 0 if no file of a shard can be read
            intensity(store, lungs(store))

    given = (folder, table, image_size, config.fit, config.on_error)
    for shard in () if count == 1 else range(count) if config.shard is None else [config.shard]:
        place = part_folder(folder, shard, shards)
        _make(f"shard {shard} of {shards}", place, partial(opened_part, *given, shard, shards), derive)
    there = parts_there(folder).get(shards, [])
    if shards == 1 or len(there) == shards or (folder / "store.json").is_file():
        made = "shards joined" if there else "radiographs"
        _make(f"store {folder.name}", folder, lambda: nullcontext(open_store(*given[1:])), derive, made)
        remove_parts(folder)
    else:
        missing = sorted(set(range(shards)) - set(there))
        print(f"store {folder.name}: still to be prepared: shard={','.join(map(str, missing))}", flush=True)


def _make(
    name: str,
    place: Path,
    opening: Callable[[], AbstractContextManager[Store | None]],
    derive: Callable[[Store], None],
    made: str = "images",
) -> None:
    """Open or build a store or a shard, derive lung fields and grey levels, and print the results in a line."""
    there, started = (place / "store.json").is_file(), time.perf_counter()
    with opening() as store:
        if store is None:
            print(f"{name}: nothing to do", flush=True)
            return
        opened, before = time.perf_counter(), _arrays(store)
        derive(store)
        seconds = {} if there else {made: opened - started}
        if _arrays(store) != before:
            seconds["fields and grey levels"] = time.perf_counter() - opened
    count, left_out = len(store), len(store.skipped)
    timings = [f"{what} in {took:.1f} s ({count / took:.1f}/s)" for what, took in seconds.items()]
    unread = f"; {left_out} cannot be read and are left out" if left_out else ""
    print(f"{name}: {count} images: {', '.join(timings) or 'was there'}{unread}", flush=True)


def _arrays(store: Store) -> set[str]:
    """File names of the arrays in a store."""
    return {file.name for file in store.folder.glob("*.npy")}


COMMAND = Command(
    section="use",
    place=4,
    summary="decode and segment ahead of training, in shards",
    example="data=... num_shards=8 [shard=3] [-m]",
    # The stores record what is finished, not a run folder.
    run=partial(run_hydra, "prepare", work=prepare, has_folder=False),
    usage=USAGE,
    config="prepare",
    alone=True,
)
