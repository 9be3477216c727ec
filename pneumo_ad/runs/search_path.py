"""Hydra search path of a run: locations of yaml besides `pneumo_ad.conf`. No heavy imports."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from omegaconf import DictConfig

from pneumo_ad.runs.dot_hydra import HYDRA, read_runtime
from pneumo_ad.runs.trust import is_trusted_place
from pneumo_ad.saved import is_there

log = logging.getLogger(__name__)


def as_override(search_path: Sequence[str]) -> list[str]:
    """Convert locations of yaml to an override for Hydra; empty for none.

    >>> as_override(["pkg://their.conf", "file:///a b"])
    ["hydra.searchpath=['pkg://their.conf','file:///a b']"]
    """
    places = ",".join("'" + place.replace("'", "\\'") + "'" for place in search_path)
    return [f"hydra.searchpath=[{places}]"] if places else []


def key_of(override: str) -> str:
    """Return the key or group that an override sets.

    Args:
        override: Override as typed.

    >>> key_of("+trainer.accumulate_grad_batches=2"), key_of("~logger")
    ('trainer.accumulate_grad_batches', 'logger')
    """
    return override.partition("=")[0].lstrip("+~")


def saved_search_path(folder: Path, below: bool = False) -> list[str]:
    """Read the search path of a run: its `hydra.searchpath` and `--config-dir`.

    Untrusted locations are left out with a warning: yaml can name any target, and a `pkg://` is imported.

    Args:
        folder: The run folder, in which Hydra recorded its sources.
        below: Whether to make folders relative to the run's working directory, if they lie below it, for output.

    Raises:
        DamagedError: See `read_runtime`.
    """
    if not is_there(folder / HYDRA):
        return []
    runtime = read_runtime(folder)
    places = places_of(runtime)
    for place in places:
        if not is_trusted_place(place):
            _left_out(folder, place)
    start = f"file://{runtime.cwd}/"
    trusted = [place for place in places if is_trusted_place(place)]
    return [f"file://{place.removeprefix(start)}" if below and place.startswith(start) else place for place in trusted]


@cache
def _left_out(folder: Path, place: str) -> None:
    """Warn of an untrusted location, once."""
    log.warning(
        "%s: yaml of %s is left out: a search path is not trusted by standing in a run folder. If it is wanted, add "
        "trust='%s' once",
        *(folder, place, place),
    )


def places_of(runtime: DictConfig) -> list[str]:
    """List the locations of yaml besides `pneumo_ad.conf`.

    Args:
        runtime: Hydra's runtime record; see `dot_hydra.read_runtime`.
    """
    places = []
    for source in runtime.config_sources:
        if source.schema == "file":  # a relative folder is relative to the run's working directory
            places.append(f"file://{Path(runtime.cwd, source.path)}")
        elif source.schema == "pkg" and source.path not in ("hydra.conf", "pneumo_ad.conf"):
            places.append(f"pkg://{source.path}")
    return places
