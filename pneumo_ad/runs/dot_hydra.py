"""Reader of a run's `.hydra` folder: config, overrides and search path."""

from __future__ import annotations

import copy
import re
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pneumo_ad.errors import DamagedError
from pneumo_ad.runs import resolvers  # noqa: F401 - registers the resolvers that configs use
from pneumo_ad.runs.past import to_today
from pneumo_ad.saved import check_mapping, in_a_line, is_there, read_yaml

CONFIG, OVERRIDES, HYDRA = (Path(".hydra", f"{name}.yaml") for name in ("config", "overrides", "hydra"))

_GROWN = 2**22  # largest number of characters after interpolation; a config of this project has some thousands
_WORD = re.compile(r"[\w.\[\]]+")
_Kind = TypeVar("_Kind", DictConfig, ListConfig)


def read_config(folder: Path) -> DictConfig:
    """Read the config of a run, in the current form (`past.to_today`), interpolations unresolved.

    Args:
        folder: The run folder.

    Raises:
        DamagedError: The file holds no mapping, or see `saved.read_yaml`.
    """
    return to_today(_read(folder / CONFIG, DictConfig))


def read_overrides(folder: Path) -> list[str]:
    """Read the overrides of a run, as they were typed.

    Args:
        folder: The run folder.

    Raises:
        DamagedError: The file holds no list of strings, or see `saved.read_yaml`.
    """
    listed = OmegaConf.to_container(_read(folder / OVERRIDES, ListConfig))
    assert isinstance(listed, list)
    wrong = [one for one in listed if not isinstance(one, str)]
    if wrong:
        raise DamagedError(f"{folder / OVERRIDES}: {str(wrong[0])[:80]} is no override")
    return listed


def read_runtime(folder: Path) -> DictConfig:
    """Read Hydra's runtime record of a run: `cwd`, and `config_sources`, each with `schema` and `path`.

    Args:
        folder: The run folder.

    Raises:
        DamagedError: A key is missing, or see `saved.read_yaml`.
    """
    saved = _read(folder / HYDRA, DictConfig)
    try:
        check_mapping(OmegaConf.to_container(saved), {"hydra": {"runtime": {"cwd": str, "config_sources": list}}})
        for source in saved.hydra.runtime.config_sources:
            check_mapping(OmegaConf.to_container(source), {"schema": str, "path": str}, "config_sources")
    except ValueError as reason:
        raise DamagedError(f"{folder / HYDRA}: {in_a_line(reason)}") from reason
    runtime: DictConfig = saved.hydra.runtime
    return runtime


def read_config_name(folder: Path) -> str:
    """Read the name of the config in `pneumo_ad.conf` that a run was composed from; empty if it is not recorded.

    Args:
        folder: The run folder.

    Raises:
        DamagedError: See `saved.read_yaml`.
    """
    if not is_there(folder / HYDRA):
        return ""
    name = OmegaConf.select(_read(folder / HYDRA, DictConfig), "hydra.job.config_name")
    return name if isinstance(name, str) else ""


def _read(file: Path, kind: type[_Kind]) -> _Kind:
    found: _Kind = read_yaml(file, lambda text: copy.deepcopy(_made(text, kind)))
    return found


@lru_cache(maxsize=16)  # a command reads the same config several times
def _made(text: str, kind: type[_Kind]) -> _Kind:
    if not text.endswith("\n"):
        raise ValueError("it ends in the midst of a line" if text else "it is empty")
    try:
        config = OmegaConf.create(text)
    except OmegaConfBaseException as reason:
        raise ValueError(in_a_line(reason)) from reason
    except AssertionError:  # a number or a date by itself
        config = None
    if not isinstance(config, kind):
        raise ValueError(f"expected {'a mapping' if kind is DictConfig else 'a list'}")
    _check_growth(OmegaConf.to_container(config))
    return config


def _check_growth(whole: Any) -> None:
    """Check, without resolving any, that interpolations do not multiply, as `a: ${b}${b}`, `b: ${c}${c}`, ... would.

    Any word that is a key counts as a reference to it.

    Raises:
        ValueError: The resolved content could exceed `_GROWN` characters.
    """
    known: dict[tuple[str, ...], int] = {}

    def size(node: Any, path: tuple[str, ...]) -> int:
        """Characters of a resolved node; a node that refers to itself counts once, as it cannot be resolved."""
        if path not in known:
            known[path] = 0
            if isinstance(node, dict | list):
                pairs = node.items() if isinstance(node, dict) else enumerate(node)
                known[path] = sum(len(str(key)) + size(value, (*path, str(key))) for key, value in pairs)
            else:
                words = _WORD.findall(node) if isinstance(node, str) else []
                known[path] = len(str(node)) + sum(at(word, path) for word in words)
            if known[path] > _GROWN:
                raise ValueError(
                    f"{'.'.join(path) or 'it'} repeats others until it has more than {_GROWN:,} characters"
                )
        return known[path]

    def at(word: str, path: tuple[str, ...]) -> int:
        """Size of the node that a word refers to: a dotted key, or a relative one such as `.key`."""
        name = word.lstrip(".")
        up = len(word) - len(name)
        node, there = whole, path[:0]
        for key in (*(path[:-up] if up else ()), *filter(None, re.split(r"[.\[\]]+", name))):
            if isinstance(node, dict) and key in node:
                node = node[key]
            elif isinstance(node, list) and key.isdecimal() and int(key) < len(node):
                node = node[int(key)]
            else:
                return size(node, there) if isinstance(node, str) else 0  # a reference may lead through another
            there = (*there, key)
        return size(node, there) if there else 0

    size(whole, ())
