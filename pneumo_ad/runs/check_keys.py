"""Checks of the keys that overrides set: an unknown key is reported in one line, with the nearest known one.

A config is composed only when a key is in doubt. No heavy imports.
"""

from __future__ import annotations

import logging
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pneumo_ad.errors import ConfigError
from pneumo_ad.runs.arguments import Key, choices, keys_of
from pneumo_ad.runs.grammar import hydra_words
from pneumo_ad.runs.known_keys import arguments_of, composed, config_of_run, flat, is_reference, keys_of_choices
from pneumo_ad.runs.nearest_key import is_other_name, nearest

log = logging.getLogger(__name__)


def check_known(overrides: Sequence[str], keys: Iterable[Key], config_name: str, folder: Path | None = None) -> None:
    """Check that the config has the top-level key of each override; `change_saved` and Hydra check nested keys.

    Args:
        overrides: Overrides in Hydra's grammar.
        keys: Keys of the command itself, which the error message may suggest.
        config_name: Name of the config that is changed; empty where there is none.
        folder: Folder of a run or sweep, where the user's own yaml may have added keys and groups.

    Raises:
        ConfigError: A key is unknown (names the nearest known one) or was removed (says what to do instead).
    """
    known = keys_of(config_name) if config_name else frozenset()
    tops = {one: one.partition("=")[0].partition("@")[0].partition(".")[0] for one in overrides}
    strange = {
        override: top
        for override, top in tops.items()
        if top not in known and not (config_name and top.startswith(("+", "~", "hydra")))
    }
    if not strange:
        return
    from pneumo_ad.runs.past import check_dropped

    check_dropped(override.partition("=")[0] for override in strange)
    of_run = config_of_run(folder, strange.values()) if folder is not None else {}
    adds_places = config_name and "hydra" in tops.values()  # the keys of their yaml are not known here
    for override, top in strange.items():
        if top not in of_run and not adds_places:
            chosen = [one for one, top in tops.items() if top in known and "." not in one.partition("=")[0]]
            raise ConfigError(unknown_key(config_name, [override, *chosen], (), keys, of_run or None))


def check_added(config_name: str, overrides: Sequence[str], places: Sequence[str] = ()) -> None:
    """Warn of a `+key=value` that adds a top-level key to which nothing in the config refers.

    Args:
        config_name: Name of the config.
        overrides: Overrides in Hydra's grammar.
        places: Locations of yaml besides `pneumo_ad.conf`.

    Raises:
        ConfigError: The key is another spelling, or a synonym, of a key of the config.
    """
    tops = {one.partition("=")[0].lstrip("+").partition(".")[0]: one for one in overrides if one.startswith("+")}
    new = {top: one for top, one in tops.items() if top.isidentifier() and top not in {*keys_of(config_name), "hydra"}}
    if not new:
        return
    config, groups = composed(config_name, overrides, places)
    text = f"{config} {overrides}"
    has = [one for one, value in flat(config) if one.partition(".")[0] not in new and not is_reference(value)]
    for top, override in new.items():
        if top in groups or re.search(rf"\$\{{[^}}]*\b{top}\b", text):
            continue
        typed, equals, value = override.lstrip("+").partition("=")
        near = nearest(typed, has)
        means = f"; did you mean {shlex.quote(near + equals + value)}?" if near else ""
        if near and is_other_name(typed, near):
            raise ConfigError(f"{override} is not known{means}")
        log.warning("%s: nothing in the config refers to %s%s", override, top, means)


def unknown_key(
    config_name: str,
    overrides: Sequence[str],
    places: Sequence[str] = (),
    keys: Iterable[Key] = (),
    saved: Mapping[str, Any] | None = None,
) -> str:
    """Describe in one line the first override whose key is unknown, with the nearest known key; empty for none.

    Args:
        config_name: Name of the config in `pneumo_ad.conf`; empty for a command without one.
        overrides: Overrides in Hydra's grammar.
        places: Locations of yaml besides `pneumo_ad.conf`.
        keys: Keys of the command itself.
        saved: Config of a run that is to be changed.
    """
    plain = [one for one in overrides if not one.startswith("+")]
    config, groups = composed(config_name, plain, places) if config_name else ({}, set())
    has = dict(flat({**config, **(saved or {})})) | dict.fromkeys(groups - {*config})
    for override in overrides:
        typed = override.partition("=")[0].lstrip("+~")
        key = re.split(r"@|\.\d|\[", typed)[0]
        if override.startswith("+") and config_name:
            if "@" not in typed and (key in groups or (key in has and not override.startswith("++"))):
                return f"{override} is there already; did you mean {shlex.quote(override.lstrip('+'))}?"
        elif key not in has or "@" in typed:
            return _words(override, key, has, config_name, list(keys), extends=saved is None)
        elif key not in groups and choices(key) and isinstance(has[key], dict):
            return f"{override} is not known; {key} is no group here, but has {_listed(has[key])}"
    return ""


def _words(
    override: str, key: str, has: Mapping[str, Any], config_name: str, keys: Sequence[Key], extends: bool
) -> str:
    above, node = key.rpartition(".")[0], has.get(key.rpartition(".")[0])
    if above == "hydra.launcher" and (words := _of_launcher(override, key.rpartition(".")[2], node or {})):
        return words
    arguments = arguments_of(node.get("_target_")) if isinstance(node, dict) and extends else set()
    more = {f"{above}.{one}" for one in arguments if f"{above}.{one}" not in has}
    elsewhere = keys_of_choices(config_name) if config_name and not override.startswith("~") else {}
    # Suggest where a value is set, not interpolations of it; keys such as `_target_` only if one was typed.
    set_here = [one for one, value in has.items() if one.rpartition(".")[0] == above or not is_reference(value)]
    set_here = [one for one in set_here if "._" not in one or "._" in key]
    near = nearest(key, dict.fromkeys((*(key.name for key in keys), *set_here, *sorted(more), *elsewhere)))
    if near:
        mark = "~" * override.startswith("~")
        add = "+" * (near in more and above != "trainer")
        suggestion = shlex.quote(add + near + "".join(override.partition("=")[1:]))
        choice = f" with {elsewhere[near]}" if near in elsewhere and near not in {*has, *more} else ""
        return f"{override} is not known; did you mean {mark}{suggestion}{choice}?"
    if isinstance(node, dict):
        return f"{override} is not known; {above} has {_listed(node)}"
    listed = " ".join(f"{one.name}={one.shows}" for one in keys)
    return f"{override} is not known; " + ("--help lists the keys" if config_name else f"expected {listed}")


def _of_launcher(override: str, name: str, chosen: Mapping[str, Any]) -> str:
    """Name the launcher that has a key which the chosen one lacks, in its spelling; empty if the chosen one has it."""
    from hydra.core.config_store import ConfigStore

    store = ConfigStore.instance()
    files = [file for file in store.list("hydra/launcher") if file.endswith(".yaml")]
    of_each = {file.removesuffix(".yaml"): {*store.load(f"hydra/launcher/{file}").node} for file in files}
    known = dict.fromkeys(key for keys in of_each.values() for key in sorted(keys) if not key.startswith("_"))
    found = name if name in known else nearest(name, known)
    if found in chosen:
        return ""
    # Of several, that of a cluster.
    having = max((launcher for launcher, keys in of_each.items() if found in keys), default="")
    if not having:
        return (
            f"{override} is not known; launchers that are installed: {', '.join(sorted(of_each))} (hydra/launcher=NAME)"
        )
    spelt = "" if found == name else f", where it is hydra.launcher.{found}={override.partition('=')[2]}"
    return f"{override} needs hydra/launcher={having}{spelt}"


def refusal(
    reason: Exception,
    config_name: str,
    overrides: Sequence[str],
    places: Sequence[str] = (),
    saved: Mapping[str, Any] | None = None,
) -> str:
    """Convert an error of Hydra about overrides to one line: what was given, and the nearest valid key.

    Args:
        reason: Exception raised by Hydra or OmegaConf.
        config_name: See `unknown_key`.
        overrides: Overrides in Hydra's grammar.
        places: Locations of yaml besides `pneumo_ad.conf`.
        saved: Config of a run that is to be changed.
    """
    about_value = getattr(reason, "options", None) or getattr(reason, "override", None)
    unknown = "" if about_value else unknown_key(config_name, overrides, places, saved=saved)
    return unknown or hydra_words(reason)


def _listed(node: Mapping[str, Any]) -> str:
    return ", ".join(one for one in node if not one.startswith("_"))
