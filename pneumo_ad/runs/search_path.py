"""Hydra search path of a run: locations of yaml besides `pneumo_ad.conf`. No heavy imports."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from hydra import initialize_config_module
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig

from pneumo_ad.errors import ConfigError
from pneumo_ad.runs.arguments import conf_folders
from pneumo_ad.runs.dot_hydra import HYDRA, read_runtime
from pneumo_ad.runs.trust import check_package, is_trusted_place
from pneumo_ad.runs.trusted import own_conf
from pneumo_ad.saved import is_there

log = logging.getLogger(__name__)

_TRUSTED = "trusted packages"  # provider of their yaml, in Hydra's words


class TrustedYaml(SearchPathPlugin):
    """Adds the yaml of trusted packages to every search path, behind `pneumo_ad.conf`: it adds, and replaces nothing.

    Folders, not packages: nothing of a package is imported before a config builds one of its parts.
    """

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append the folders.

        Args:
            search_path: The search path, which has `pneumo_ad.conf` already.
        """
        _warn_of_shadowed()
        for folder in own_conf().values():
            search_path.append(_TRUSTED, f"file://{folder}")


Plugins.instance().register(TrustedYaml)


@cache
def _warn_of_shadowed() -> None:
    """Warn, once, of yaml of trusted packages that is never read, as an earlier place has one of its name."""
    own = own_conf()
    for number, (package, folder) in enumerate(own.items(), 1):
        for name in sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*.yaml")):
            first = next(place for place in conf_folders()[: number + 1] if place.joinpath(name).is_file())
            if first != folder:
                log.warning("%s of %s is not read: %s has one of that name; rename it", name, package, first)


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
    """List the locations of yaml besides `pneumo_ad.conf` and trusted packages, which need not be remembered.

    Args:
        runtime: Hydra's runtime record; see `dot_hydra.read_runtime`.
    """
    places = []
    for source in runtime.config_sources:
        if source.get("provider") == _TRUSTED:
            continue
        if source.schema == "file":  # a relative folder is relative to the run's working directory
            places.append(f"file://{Path(runtime.cwd, source.path)}")
        elif source.schema == "pkg" and source.path not in ("hydra.conf", "pneumo_ad.conf"):
            places.append(f"pkg://{source.path}")
    return places


def groups_among(names: Iterable[str], search_path: Sequence[str] = ()) -> set[str]:
    """Select the names that are config groups of `pneumo_ad.conf` or a search path; to list all takes Hydra a second.

    Args:
        names: Keys of overrides, left of the `=`.
        search_path: See `compose_config`.

    >>> sorted(groups_among(["net", "stride", "data.root"]))
    ['net']
    """
    asked = {name for name in names if name.isidentifier()} - {"hydra"}
    if not asked:
        return set()
    GlobalHydra.instance().clear()
    with initialize_config_module("pneumo_ad.conf", version_base="1.3"):
        options, where = GlobalHydra.instance().config_loader().get_group_options, as_override(search_path)
        return {name for name in asked if options(name, ObjectType.CONFIG, "train", where)}


def check_places(places: Iterable[str]) -> None:
    """Check that locations of yaml are there: Hydra only warns of one that is not.

    Args:
        places: Locations that were typed, as in `hydra.searchpath`.

    Raises:
        ConfigError: A package that cannot be imported, or a folder that is not there.
    """
    for place in places:
        kind, _, name = place.partition("://")
        if kind == "pkg":
            check_package(name, f"hydra.searchpath={place}")
        elif kind == "file" and not Path(name).is_dir():
            raise ConfigError(f"hydra.searchpath={place}: no such folder")
