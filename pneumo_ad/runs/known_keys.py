"""Keys that overrides may set: keys of a config, keys of other choices of its groups, and parameters of targets.

Collected only when a key is in doubt. No heavy imports.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from inspect import signature
from pathlib import Path
from typing import Any

from pneumo_ad.runs.arguments import choices, groups_of, read_yaml, yaml_text
from pneumo_ad.saved import is_there


def flat(node: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted keys of a config with their values, including nodes.

    Args:
        node: Config as plain dicts and lists.
        above: Prefix of the keys: key of the node and a dot.

    >>> [key for key, _ in flat({"net": {"width": 8}})]
    ['net', 'net.width']
    """
    for name, value in node.items():
        yield f"{above}{name}", value
        if isinstance(value, dict):
            yield from flat(value, f"{above}{name}.")


def is_reference(value: object) -> bool:
    """Whether a value is the interpolation of another key."""
    return isinstance(value, str) and re.fullmatch(r"\$\{[\w.]+\}", value) is not None


def composed(config_name: str, overrides: Sequence[str], places: Sequence[str]) -> tuple[dict[str, Any], set[str]]:
    """Compose a config with the overrides that choose groups, or without them if Hydra rejects them.

    Args:
        config_name: Name of the config.
        overrides: Overrides in Hydra's grammar; overrides of values are ignored, except `+key=value`.
        places: Locations of yaml besides `pneumo_ad.conf`.

    Returns:
        Config with its node `hydra`, interpolations unresolved; names of its groups.
    """
    from hydra import compose, initialize_config_module
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf import OmegaConf

    from pneumo_ad.runs import resolvers  # noqa: F401 - registers the resolvers that configs use
    from pneumo_ad.runs.search_path import as_override

    where = [*as_override(places), *(one for one in overrides if one.startswith("hydra.searchpath="))]
    groups = groups_of(config_name)
    chosen = [one for one in overrides if one.startswith(("+", "hydra/")) or one.partition("=")[0] in groups]
    GlobalHydra.instance().clear()
    with initialize_config_module("pneumo_ad.conf", version_base="1.3"):
        try:
            found = compose(config_name, [*where, *chosen], return_hydra_config=True)
        except HydraException:  # a choice that does not exist, or several of a group
            found = compose(config_name, return_hydra_config=True)
    return OmegaConf.to_container(found), {*map(str, found.hydra.runtime.choices)}  # type: ignore[return-value]


@cache
def keys_of_choices(config_name: str) -> dict[str, str]:
    """Map each key or group that choices of groups add to a config to these choices, as `group=a, b or c`.

    Args:
        config_name: Name of the config.
    """
    found: defaultdict[str, list[str]] = defaultdict(list)
    for group in groups_of(config_name):
        for choice in choices(group):
            for key in sorted(_keys_of_choice(group, choice)):
                found[key].append(choice if found[key] else f"{group}={choice}")
    return {key: " or ".join(filter(None, (", ".join(of[:-1]), of[-1]))) for key, of in found.items()}


def _keys_of_choice(group: str, choice: str) -> set[str]:
    text = yaml_text(f"{group}/{choice}")
    if "@package _global_" in text:  # a recipe
        return set()
    plain = read_yaml(f"{group}/{choice}")
    above = [one for one in plain.get("defaults", []) if isinstance(one, str) and one in choices(group)]
    brought = re.findall(r"^  - /(\w+)", text, re.MULTILINE)
    own = {f"{group}.{key}" for key in plain if key not in ("defaults", "_target_", "_partial_")}
    return own.union(brought, *(_keys_of_choice(group, one) for one in above))


def arguments_of(target: object) -> set[str]:
    """Import a target and return the names of its parameters; empty, without an import, if it is not in `ALLOWED`."""
    from hydra.utils import get_object

    from pneumo_ad.runs.trust import ALLOWED

    if not any(target in allowed for allowed in ALLOWED.values()):
        return set()
    return set(signature(get_object(str(target))).parameters) - {"self", "args", "kwargs", "params"}


def with_trainer_arguments(config_name: str, overrides: Sequence[str]) -> list[str]:
    """Prefix overrides of arguments of Lightning's Trainer that its yaml lacks with `++`, so that Hydra accepts them.

    Args:
        config_name: Name of the config.
        overrides: Overrides in Hydra's grammar.
    """
    typed = {one: found[1] for one in overrides if (found := re.match(r"trainer\.(\w+)=", one))}
    if not {*typed.values()} - {*read_yaml("trainer/auto")} or "trainer" not in groups_of(config_name):
        return list(overrides)
    more = arguments_of("lightning.Trainer") - {*read_yaml("trainer/auto")}  # takes seconds to import
    return [f"++{one}" if typed.get(one) in more else one for one in overrides]


def config_of_run(folder: Path, asked: Iterable[str]) -> dict[str, Any]:
    """Read a run's saved config, with those keys of `asked` that are groups on its search path; empty if no run.

    Args:
        folder: Run folder, or sweep folder, of which the first run is read.
        asked: Keys that may be groups.
    """
    from omegaconf import OmegaConf

    from pneumo_ad.runs.dot_hydra import CONFIG, read_config
    from pneumo_ad.runs.search_path import groups_among, saved_search_path

    if not is_there(folder / CONFIG):
        found = next(folder.rglob(str(CONFIG)), None) if folder.is_dir() else None
        return config_of_run(found.parents[1], asked) if found else {}
    saved: dict[str, Any] = OmegaConf.to_container(read_config(folder))  # type: ignore[assignment]
    if (left := set(asked) - {*saved}) and (places := saved_search_path(folder)):
        saved |= dict.fromkeys(groups_among(left, places))
    return saved
