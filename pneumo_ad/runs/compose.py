"""Composition of configs and construction of objects: the only caller of `instantiate`, and of saved-config changes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, InstantiationException
from hydra.utils import instantiate
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import (
    InterpolationResolutionError,
    InterpolationToMissingValueError,
    MissingMandatoryValue,
    OmegaConfBaseException,
)

from pneumo_ad.errors import ConfigError, UserError, did_you_mean, system_words
from pneumo_ad.labels import Vocabulary
from pneumo_ad.runs import resolvers  # noqa: F401 - registers the resolvers that configs use
from pneumo_ad.runs.check_keys import check_added, refusal
from pneumo_ad.runs.known_keys import flat, with_trainer_arguments
from pneumo_ad.runs.past import SPREAD, check_dropped
from pneumo_ad.runs.search_path import as_override, check_places, groups_among, key_of
from pneumo_ad.runs.trust import HOW_TO_IMPORT, check


def build(node: DictConfig, **parts: Any) -> Any:
    """Build the object that a node describes, with plain dicts and lists as arguments.

    Args:
        node: Config with a `_target_`.
        parts: Arguments that are objects already, by name.

    Raises:
        UserError: Error of the object's constructor, without Hydra's wrapping.
        ConfigError: A mandatory value is missing (names the key), the object cannot be built, or the target is not
            trusted (see `trust`).
    """
    check(node)
    try:
        return instantiate(node, _convert_="all", **parts)
    except InterpolationResolutionError as reason:
        raise ConfigError(f"{node.get('_target_')}: {str(reason).splitlines()[0]}") from reason
    except (MissingMandatoryValue, InterpolationToMissingValueError) as reason:
        key = _key_to_type(node, str(getattr(reason, "full_key", "") or reason))
        raise ConfigError(
            f"{key} must be given: {key}=... on the command line ({str(reason).splitlines()[0]})"
        ) from reason
    except InstantiationException as reason:
        cause = reason.__cause__
        if isinstance(cause, UserError):
            raise cause from None
        if isinstance(cause, (MissingMandatoryValue, InterpolationToMissingValueError)):
            raise ConfigError(f"a value must be given: {str(cause).splitlines()[0]}") from reason
        if isinstance(cause, ImportError):
            words = " ".join(str(cause).splitlines())
            how = f" If not, {HOW_TO_IMPORT}" if "No module named" in words else ""
            raise ConfigError(f"{node.get('_target_')}: {words}{how}") from reason
        if isinstance(cause, OSError) and cause.strerror:
            raise ConfigError(system_words(cause)) from reason
        if isinstance(cause, (ValueError, TypeError, OSError, MisconfigurationException)):
            raise ConfigError(f"{node.get('_target_')}: {cause}{_near_argument(node, str(cause))}") from reason
        raise


def _near_argument(node: DictConfig, words: str) -> str:
    """Suggest a key of a node, or of one below it, for an argument that its target does not take (`+net.widht=8`)."""
    found = re.search(r"unexpected keyword argument '(\w+)'", words)
    if not found:
        return ""
    plain: dict[str, Any] = OmegaConf.to_container(node, resolve=True)  # type: ignore[assignment]
    return did_you_mean(found[1], {key.rpartition(".")[2] for key, _ in flat(plain)} - {found[1]})


def _key_to_type(node: DictConfig, key: str) -> str:
    """Key that the user must set: `datamodule.table` refers to `data`, so a value missing there is set below `data`."""
    missing = [name for name in OmegaConf.missing_keys(node._get_root()) if name.split(".")[-1] == key.split(".")[-1]]
    return min(missing, key=len, default=key)


def build_all(nodes: DictConfig | None) -> list[Any]:
    """Build every named node of a group except those set to null.

    Raises:
        ConfigError: See `build`; or a node with settings but no `_target_`, for example an experiment's settings of a
            callback that `callbacks=minimal` removed.
    """
    for node in (nodes or {}).values():
        if node is not None and "_target_" not in node:
            key, settings = node._get_full_key(""), ", ".join(map(str, node))
            raise ConfigError(f"{key} has settings ({settings}) but no _target_; {key}=null leaves it out")
    return [build(node) for node in (nodes or {}).values() if node is not None]


def vocabulary_of(config: DictConfig) -> Vocabulary:
    """Return the vocabulary of a config.

    Args:
        config: Whole config, with the node `vocabulary`.

    Raises:
        ConfigError: No mapping of words, or see `Vocabulary.of`.
    """
    node = config.get("vocabulary")
    if not isinstance(node, DictConfig):
        raise ConfigError(f"vocabulary={node} holds no words; expected vocabulary=radiograph, generic or one of yours")
    plain: dict[str, Any] = OmegaConf.to_container(node, resolve=True)  # type: ignore[assignment]
    return Vocabulary.of(plain)


def compose_config(
    name: str, overrides: Sequence[str] = (), search_path: Sequence[str] = (), hydra_too: bool = False
) -> DictConfig:
    """Compose one of the configs of `pneumo_ad.conf`, as the command line does.

    Args:
        name: Name of the config.
        overrides: Overrides in Hydra's grammar.
        search_path: Further locations of yaml, as in `hydra.searchpath`: `pkg://their_package.conf`, `file:///folder`.
        hydra_too: Whether to keep Hydra's own config, under the key `hydra`.

    Raises:
        ConfigError: Hydra refuses an override (with its message), or a key was removed.
    """
    check_dropped(key_of(one) for one in overrides)
    overrides = with_trainer_arguments(name, overrides)
    check_added(name, overrides, search_path)
    GlobalHydra.instance().clear()
    try:
        with initialize_config_module("pneumo_ad.conf", version_base="1.3"):
            return compose(name, [*as_override(search_path), *overrides], return_hydra_config=hydra_too)
    except (HydraException, OmegaConfBaseException, ValueError) as reason:
        raise ConfigError(refusal(reason, name, overrides, search_path)) from reason


def compose_job(
    name: str, overrides: Sequence[str] = (), search_path: Sequence[str] = ()
) -> tuple[DictConfig, DictConfig]:
    """Compose a config as `compose_config` does, with Hydra's own config second, as `record.keep_recipe` needs both.

    Raises:
        ConfigError: See `compose_config`.
    """
    both = compose_config(name, overrides, search_path, hydra_too=True)
    job = OmegaConf.masked_copy(both, [str(key) for key in both if key != "hydra"])
    OmegaConf.set_struct(job, True)
    return job, OmegaConf.masked_copy(both, "hydra")


def change_saved(
    saved: DictConfig,
    overrides: Sequence[str],
    fixed: Sequence[str] = (),
    search_path: Sequence[str] = (),
    name: str = "train",
) -> DictConfig:
    """Apply overrides to a saved config: `group=choice` replaces a whole group, `key=value` sets a value.

    Args:
        saved: Config of a run, in the current form (`past.to_today`).
        overrides: Overrides in Hydra's grammar; `hydra.searchpath=[...]` adds to the search path.
        fixed: Top-level keys that may not change, because the weights depend on them.
        search_path: See `compose_config`; that of a run comes from `search_path.saved_search_path`.
        name: Name of the config in `pneumo_ad.conf` that offers the groups.

    Raises:
        ConfigError: An unknown key, a deletion or sweep, or a fixed key.
    """
    config = OmegaConf.create(OmegaConf.to_container(saved))
    assert isinstance(config, DictConfig)
    OmegaConf.set_struct(config, True)
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
        where = [item for item in parsed if item.key_or_group == "hydra.searchpath"]
        typed = [place for item in where for place in _places(item.value())]
        check_places(typed)
        search_path = [*search_path, *typed]
        parsed = [item for item in parsed if item not in where]
        check_dropped(item.key_or_group for item in parsed)
        for item in parsed:
            key = item.key_or_group
            top = key.partition(".")[0]
            if top in fixed:
                raise ConfigError(f"{key} cannot change after training: the run's weights depend on {top}")
            if item.is_delete() or item.is_add() or item.is_sweep_override() or key in SPREAD:
                raise ConfigError(
                    f"{item.input_line}: only group=choice and key=value can be applied to a run that has begun, and "
                    f"no group whose yaml sets keys of others ({', '.join(SPREAD)})"
                )
        offered = groups_among({item.key_or_group for item in parsed}, search_path)
        chosen = [item for item in parsed if item.key_or_group in offered]
        fresh = compose_config(name, [item.input_line or "" for item in chosen], search_path) if chosen else {}
        for item in sorted(parsed, key=lambda item: item not in chosen):  # choices first, then the values within them
            if item in chosen:
                OmegaConf.update(config, item.key_or_group, fresh[item.key_or_group], merge=False, force_add=True)
            else:
                OmegaConf.update(config, item.key_or_group, item.value(), merge=True)
    except (HydraException, OmegaConfBaseException) as reason:
        plain: dict[str, Any] = OmegaConf.to_container(config)  # type: ignore[assignment]
        raise ConfigError(refusal(reason, name, overrides, search_path, plain)) from reason
    return config


def _places(value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(place, str) for place in value):
        raise ConfigError(f"hydra.searchpath={value} must be a list, for example [pkg://their_package.conf]")
    return value
