"""`run=RUN` of a training: a new run whose net is that of another run, frozen, below `net=variance_head`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, OmegaConf

from pneumo_ad.errors import ConfigError
from pneumo_ad.runs.past import shipped
from pneumo_ad.runs.run_config import saved_config
from pneumo_ad.runs.search_path import as_override, key_of, saved_search_path

RECIPE = "variance_head"
_COMPOSED = "_frozen"  # name under which Hydra finds the config
# Keys of the recipe; all others are those of the other run.
_OF_THE_NET = ("net", "loss", "score", "corruption", "optimizer", "module")
_OWN = ("name", "sweep", "tune", *_OF_THE_NET, "trainer", "callbacks", "logger")


def arguments_on_run(folder: Path, typed: Sequence[str]) -> list[str]:
    """Return the arguments with which Hydra starts a run on the net of another, see `store_config`.

    Args:
        folder: Folder of the other run.
        typed: Overrides beside `run=`, in Hydra's grammar.
    """
    hydras = [one for one in typed if key_of(one).startswith("hydra")]
    name, places = store_config(folder, [one for one in typed if one not in hydras])
    return ["--config-name", name, *as_override(places), *hydras, "hydra.mode=RUN"]


def store_config(folder: Path, typed: Sequence[str], search_path: Sequence[str] = ()) -> tuple[str, list[str]]:
    """Store the config of a run on the net of another, with its data and windows, where Hydra finds it.

    Args:
        folder: Folder of the other run.
        typed: Overrides beside `run=`, in Hydra's grammar.
        search_path: Locations of yaml besides those of the other run.

    Returns:
        Name of the config, and its search path.

    Raises:
        DataError: Not a run folder.
        ConfigError: A run without an autoencoder of patches, another recipe, or an override that does not fit.
    """
    from pneumo_ad.runs.compose import change_saved, compose_config  # imports Lightning
    from pneumo_ad.runs.origin import Origin

    if f"experiment={RECIPE}" not in typed:
        raise ConfigError(f"run={folder} is the net to freeze, of experiment={RECIPE}: give both")
    fixed = [one for one in typed if key_of(one) in ("net", "module") or key_of(one).startswith("net.autoencoder")]
    if fixed:
        raise ConfigError(f"{fixed[0]}: the net is that of run={folder}; net.width is the head's")
    other = Origin(saved_config(folder), folder).located
    places = [*saved_search_path(folder), *search_path]
    if other.get("view") != "patch":
        raise ConfigError(f"run={folder} reconstructs no patches; experiment={RECIPE} takes runs of module=autoencoder")
    changes = [one for one in typed if one != f"experiment={RECIPE}"]
    own = compose_config("train", [f"experiment={RECIPE}"])
    base = other.copy()
    for key in _OWN:
        OmegaConf.update(base, key, own[key], merge=False, force_add=True)
    OmegaConf.update(base, "net.autoencoder", other.net, merge=False)
    base.run = str(folder)
    config = change_saved(base, changes, (), places)
    plain: Any = OmegaConf.to_container(config)
    hydra = OmegaConf.merge(shipped("run_folders").hydra, shipped("train").hydra)
    plain |= {"run_dir": MISSING, "hydra": OmegaConf.to_container(hydra)}
    ConfigStore.instance().store(_COMPOSED, plain)
    return _COMPOSED, places
