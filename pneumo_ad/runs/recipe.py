"""The recipe of a run as plain values, to compare runs without opening them."""

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
    """Read the config of a run, interpolations unresolved; None if the job ended before it was saved.

    Args:
        folder: The run folder.

    Raises:
        DamagedError: See `read_config`.
    """
    if not is_there(folder / CONFIG):
        return None
    return cast(dict[str, Any], OmegaConf.to_container(read_config(folder)))


def read_set_values(folder: Path) -> dict[str, str]:
    """Read the overrides of a run, key -> value; empty if the job ended before they were saved.

    Args:
        folder: The run folder.

    Raises:
        DamagedError: See `read_overrides`.
    """
    listed = read_overrides(folder) if is_there(folder / OVERRIDES) else []
    return {key: value for key, _, value in (one.lstrip("+~").partition("=") for one in listed)}


def read_defaults(folder: Path, overrides: Mapping[str, str]) -> dict[str, Any] | None:
    """Compose the config of `train` from some overrides, interpolations unresolved; None if it cannot be composed.

    Args:
        folder: Run folder whose search path is used.
        overrides: Overrides, key -> value. Hydra's own keys are left out: they can execute code, and the run may be
            untrusted.
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
    """Count the parameters of a run's net; None if the net cannot be built.

    Args:
        folder: The run folder.
    """
    config = read_config(folder)
    if "net" not in config:
        return None
    try:
        return sum(parameter.numel() for parameter in build(config.net).parameters())
    except (UserError, HydraException) as reason:  # a third-party net that is not installed
        log.warning("%s: its parameters cannot be counted: %s", folder.name, str(reason).splitlines()[0])
        return None
