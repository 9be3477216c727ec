"""The recipe of a run as plain values, for who compares runs without opening them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from hydra.errors import HydraException
from omegaconf import OmegaConf

from pneumo_ad.errors import ConfigError, DamagedError, UserError
from pneumo_ad.runs.compose import build, compose_config
from pneumo_ad.runs.dot_hydra import CONFIG, OVERRIDES, read_config, read_overrides
from pneumo_ad.runs.past import DROPPED, to_today
from pneumo_ad.runs.search_path import saved_search_path
from pneumo_ad.saved import is_there

log = logging.getLogger(__name__)


def read_plain_config(folder: Path) -> dict[str, Any] | None:
    """The config of a run, interpolations as they stand; None where the job ended before it was kept.

    Args:
        folder: The run folder.

    Raises:
        DamagedError: See `read_config`.
    """
    if not is_there(folder / CONFIG):
        return None
    return cast(dict[str, Any], OmegaConf.to_container(read_config(folder)))


def read_set_values(folder: Path) -> dict[str, str]:
    """Key -> value of the overrides that a run was started with; none where the job ended before they were kept.

    Args:
        folder: The run folder.

    Raises:
        DamagedError: See `read_overrides`.
    """
    listed = read_overrides(folder) if is_there(folder / OVERRIDES) else []
    return {key: value for key, _, value in (one.lstrip("+~").partition("=") for one in listed)}


def read_defaults(folder: Path, overrides: Mapping[str, str]) -> dict[str, Any] | None:
    """The config that `train` would make of some overrides, interpolations as they stand; None where it makes none.

    Args:
        folder: Run folder whose search path is used.
        overrides: Key -> value. Keys of Hydra itself are left out: they start what they name, and the run may be a
            stranger's.
    """
    left = {key: value for key, value in sorted(overrides.items()) if "hydra" not in key and key not in DROPPED}
    ours = [f"{key}={value}" for key, value in left.items()]
    try:
        today = to_today(compose_config("train", ours, saved_search_path(folder)))
        return cast(dict[str, Any], OmegaConf.to_container(today))
    except DamagedError as reason:
        log.warning("the recipe's defaults are not known: %s", reason)
    except ConfigError as reason:
        log.info("the recipe's defaults are not known: %s", str(reason).splitlines()[0])
    return None


def count_parameters(folder: Path) -> int | None:
    """How many a run's net has; None where it cannot be built.

    Args:
        folder: The run folder.
    """
    config = read_config(folder)
    if "net" not in config:
        return None
    try:
        return sum(parameter.numel() for parameter in build(config.net).parameters())
    except (UserError, HydraException) as reason:  # a net of somebody's that is not installed here
        log.warning("%s: its parameters cannot be counted: %s", folder.name, str(reason).splitlines()[0])
        return None
