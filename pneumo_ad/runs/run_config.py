"""Reading of a run's config with its checks: trusted targets, known keys, expected types, resolvable interpolations.

No heavy imports.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationToMissingValueError, MissingMandatoryValue, OmegaConfBaseException

from pneumo_ad import __version__
from pneumo_ad.errors import ConfigError, DataError, UserError
from pneumo_ad.runs.dot_hydra import CONFIG, read_config, read_config_name
from pneumo_ad.runs.past import OPENS, SPREAD, shipped
from pneumo_ad.runs.record import is_later, made_by_later, read_run_json, runs_below
from pneumo_ad.runs.trust import check_saved
from pneumo_ad.saved import Expected, check_mapping, in_a_line, is_there

log = logging.getLogger(__name__)

_PARTS = ("module", "net", "score", "aggregate", "threshold", "lungs", "intensity", "data")
_READ: Expected = {
    **{part: {"_target_": str} for part in _PARTS},
    **dict.fromkeys(("fit", "view", "cover", "scoring", "map_of", "on_error"), str),
    **dict.fromkeys(("seed", "patch", "stride", "halo"), int),
    **{"image_size": int | list, "false_alarm_rate": int | float, "relative": int | float | None, "name": str},
    "datamodule": {"_target_": str, "image_size": int | list, "patch": int, "stride": int, "cover": str},
    "trainer": {"_target_": str, "accelerator": str},
    "vocabulary": dict,
}
_OF_TRAINING = ("logger", "callbacks", "sweep", "tune")  # may refer to environments of other machines


def check_config(config: DictConfig) -> None:
    """Check that a run's config can be resolved and that its values have the expected types.

    Args:
        config: Config of a run, with overrides applied.

    Raises:
        ConfigError: A value refers to itself or to a missing key, or has another type; names its key.
    """
    plain: dict[str, Any] = {}
    for key in map(str, config):
        if key in _OF_TRAINING:
            continue
        try:
            node = config[key]
            plain[key] = OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
        except (MissingMandatoryValue, InterpolationToMissingValueError):  # `build` names the missing key
            plain[key] = OmegaConf.to_container(OmegaConf.masked_copy(config, key))[key]  # type: ignore[index,call-overload]
        except (OmegaConfBaseException, RecursionError) as reason:
            raise ConfigError(f"{key}: {in_a_line(reason)}") from reason
    try:
        check_mapping(plain, _READ)
    except ValueError as reason:
        raise ConfigError(str(reason)) from reason


def saved_config(folder: Path) -> DictConfig:
    """Read the config of a run, in the current form.

    Args:
        folder: The run folder.

    Raises:
        DataError: Not a run folder, or its config cannot be read.
        ConfigError: The config has untrusted targets (see `trust.check_saved`), or a later version made the run and its
            config has unknown keys.
    """
    if not is_there(folder / CONFIG):
        raise DataError(f"{folder}: not a run folder (no {CONFIG}){runs_below(folder)}")
    config = read_config(folder)
    config.run_dir = str(folder)
    made_by = made_by_later(folder)
    with explained(folder, ConfigError) if made_by else nullcontext():
        check_saved(config, folder)
        if made_by and (strange := _strange(folder, config)):
            raise ConfigError(f"{folder / CONFIG}: {', '.join(strange)} is not known here")
    if made_by:
        _say_later(folder, made_by)
    return config


@contextmanager
def explained(folder: Path, errors: type[UserError]) -> Iterator[None]:
    """Add to errors their possible cause: the run was made by another version of this project.

    Args:
        folder: The run folder.
        errors: Class of the errors to extend.

    Raises:
        ConfigError: An error of OmegaConf, for example a missing key.
    """
    try:
        yield
    except OmegaConfBaseException as reason:
        words = f"{folder}: {str(reason).splitlines()[0]}"
        raise ConfigError(*filter(None, (words, _other_version(folder)))) from reason
    except errors as reason:
        if words := _other_version(folder):
            raise type(reason)(*reason.args, words) from reason
        raise


@cache
def _say_later(folder: Path, version: str) -> None:
    """Warn of a later version, once."""
    log.warning("%s was made by pneumo_ad %s, which is later than this one, %s", folder, version, __version__)


def _other_version(folder: Path) -> str:
    """Note on the version of a run, the differences of its config, and the remedy; empty if there are none."""
    story, config = read_run_json(folder), read_config(folder)
    lacks, strange = sorted(_known(folder) - set(map(str, config))), _strange(folder, config)
    made_by = story.get("pneumo_ad", "an unknown version")
    if made_by in (__version__, *OPENS) and not lacks:
        return ""
    notes = [f"lacks {', '.join(lacks)}"] * bool(lacks) + [f"has {', '.join(strange)}, not known here"] * bool(strange)
    commit = f", commit {story['commit']}" if story.get("commit") else ""
    beside = f"which is later than this one, {__version__}" if is_later(made_by) else f"and this is {__version__}"
    return (
        f"{folder} was made by pneumo_ad {made_by}{commit}, {beside}"
        f"{'; its config ' + ' and '.join(notes) if notes else ''}. Open it with the version that made it, or train it "
        "again with this one"
    )


def _strange(folder: Path, config: DictConfig) -> list[str]:
    """Unknown keys of a saved config."""
    return sorted(set(map(str, config)) - _known(folder))


def _known(folder: Path) -> set[str]:
    """Keys that the current config of the run's command has."""
    today = shipped(read_config_name(folder))
    return _keys(today or shipped("train"))


def _keys(config: DictConfig) -> set[str]:
    """Keys of a shipped config after composition."""
    groups = {str(group) for one in config.defaults if isinstance(one, DictConfig) for group in one}
    return {str(key) for key in config if key not in ("defaults", "hydra")} | groups.difference(SPREAD)
