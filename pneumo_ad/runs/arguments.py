"""Command-line arguments `key=value`: keys of a command with their types, and overrides of a config.

Values of a command's own keys are plain text. Overrides follow Hydra's grammar; a value that the grammar does not
accept is quoted. A repeated key takes its last value. No heavy imports.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from pneumo_ad.errors import ConfigError, did_you_mean
from pneumo_ad.runs.grammar import for_hydra
from pneumo_ad.runs.shipped import SHIPPED
from pneumo_ad.runs.trusted import own_conf
from pneumo_ad.saved import is_there

Reader = Callable[[str], Any]  # text -> value; a ValueError says what is expected


def expanded(text: str) -> str:
    """Expand a leading `~` or `~user`: the shell does not after a `=`.

    Raises:
        ConfigError: The user has no home folder on this machine.
    """
    try:
        return str(Path(text).expanduser()) if text.startswith("~") else text
    except RuntimeError:
        raise ConfigError(f"{text} begins with the home of an unknown user") from None


def path(text: str) -> Path:
    """Read a path."""
    return Path(expanded(text))


def switch(text: str) -> bool:
    """Read `true` or `false`, in any case."""
    if text.lower() not in ("true", "false"):
        raise ValueError("true or false")
    return text.lower() == "true"


def whole(text: str) -> int:
    """Read a whole number, at least 1."""
    if not (text.isascii() and text.isdigit() and int(text)):
        raise ValueError("a whole number, at least 1")
    return int(text)


def one_of(*choices: str) -> Reader:
    """Return a reader that accepts one of several words.

    Args:
        choices: Accepted words.
    """

    def read(text: str) -> str:
        if text not in choices:
            raise ValueError(f"{', '.join(choices[:-1])} or {choices[-1]}")
        return text

    return read


@dataclass(frozen=True)
class Key:
    """A key that belongs to a command itself, not to a config.

    Attributes:
        name: Name of the key, left of the `=`.
        help: Description in the usage text.
        shows: Placeholder of the value, right of the `=` in the usage text.
        read: Function from the typed text to the value.
        default: Value where the key was not given, or was given empty.
        measures: Whether measured results depend on the key, so that it belongs to the name of a folder of results.
        missing: Error message where the key was not given; empty for a key that is optional.
    """

    name: str
    help: str = ""
    shows: str = ""
    read: Reader = str
    default: Any = None
    measures: bool = False
    missing: str = ""


RUN = Key(
    "run",
    "a folder written by `pneumo-ad train`",
    "RUN",
    path,
    missing="run=RUN_FOLDER must be given: run=runs/paper/2026-01-31_12-00-00",
)
RUN_OR_SHIPPED = replace(
    RUN,
    help=f"{RUN.help}; without it the detector that ships\n(its results go to detector/ of the working folder)",
    default=SHIPPED,
    missing="",
)
SUBSET = Key(
    "subset",
    "train, val, test or all (default: test; all where the data are others)",
    "SPLIT",
    one_of("train", "val", "test", "all"),
    measures=True,
)
CALIBRATE = Key(
    "calibrate",
    "20 or more normals of the site of what is judged, in place of the run's held-out normals",
    "DIR",
    path,
    measures=True,
)
CHECKPOINT = Key("checkpoint", "best (default), last, or a file", "NAME", expanded, "best", measures=True)


@dataclass(frozen=True)
class Arguments:
    """The parsed arguments of a command.

    Attributes:
        own: Values of the command's own keys, by name.
        overrides: Overrides of a config, in Hydra's grammar.
        changes: The overrides and, as they were typed, the own keys that measured results depend on.
        names: Arguments that were typed without a key.
    """

    own: Mapping[str, Any]
    overrides: list[str]
    changes: list[str]
    names: list[str]

    def __getitem__(self, name: str) -> Any:
        """Value of one of the command's own keys."""
        return self.own[name]


def as_typed(arguments: str | os.PathLike[str] | Sequence[str], keywords: Mapping[str, object]) -> list[str]:
    """Convert the arguments of a Python call to arguments of the command line.

    Args:
        arguments: Arguments as on the command line, or a single one.
        keywords: Further arguments, key -> value.

    >>> as_typed(["stride=4"], {"run": Path("runs/x"), "report": True, "subset": None, "data.root": "/a"})
    ['stride=4', 'run=runs/x', 'report=true', 'subset=null', 'data.root=/a']
    """
    words = {True: "true", False: "false", None: "null"}
    alone = [os.fspath(arguments)] if isinstance(arguments, str | os.PathLike) else [str(one) for one in arguments]
    plain = ((key, words[one] if isinstance(one, bool | None) else one) for key, one in keywords.items())
    return [*alone, *(f"{key}={value}" for key, value in plain)]


def parse(arguments: Sequence[str], keys: Sequence[Key], takes_names: bool = False) -> Arguments:
    """Split typed arguments into own keys, overrides and names; `check_given` checks that required keys are there.

    Args:
        arguments: Arguments as typed.
        keys: Keys of the command itself.
        takes_names: Whether the command takes arguments without a key; a folder may then have a `=` in its name.

    Raises:
        ConfigError: A key does not accept its value, or an argument has no `=`.

    >>> given = parse(["run=r", "output=a=b [c], d", "stride=4"], [RUN, Key("output", read=path)])
    >>> given["output"].name, given.overrides
    ('a=b [c], d', ['stride=4'])
    """
    known = {key.name: key for key in keys}
    values = {key.name: key.default for key in keys}
    overrides, changes, names = [], [], []
    for argument in arguments:
        name, equals, text = argument.partition("=")
        if equals and name in known:
            values[name] = _read(known[name], text)
            changes += [argument] if known[name].measures else []
        elif takes_names and (_is_folder(argument) or not (equals or argument.startswith("-"))):
            names.append(argument)
        elif not equals and not argument.startswith("~"):
            raise ConfigError(f"{argument} is not known; expected KEY=VALUE{_meant(argument, known)}")
        else:
            overrides.append(for_hydra(argument))
            changes.append(overrides[-1])
    return Arguments(values, overrides, changes, names)


def _is_folder(text: str) -> bool:
    return os.path.isdir(text)  # noqa: PTH112 - False, not an error, for a text too long to be a path


def check_given(given: Arguments, keys: Iterable[Key]) -> None:
    """Check that every required key was given.

    Args:
        given: Parsed arguments of the command.
        keys: Keys of the command itself.

    Raises:
        ConfigError: A required key was not given.
    """
    for key in keys:
        if key.missing and not given[key.name]:
            raise ConfigError(key.missing)


def _read(key: Key, text: str) -> Any:
    if not text:
        return key.default
    try:
        return key.read(text)
    except ConfigError as reason:
        raise ConfigError(f"{key.name}={reason}") from None
    except ValueError as reason:
        raise ConfigError(f"{key.name}={text} is not known; expected {reason}") from None


def _meant(argument: str, known: Iterable[str]) -> str:
    """Suggest a fix: a path without a key is most often the run, a word without a value a mistyped key."""
    if is_there(Path(expanded(argument))) and "run" in known:
        return f"; did you mean run={argument}?"
    return did_you_mean(argument, [f"{name}=..." for name in known])


def conf_folders() -> list[Traversable]:
    """List the folders of yaml: `pneumo_ad.conf`, and those of trusted packages; the first that has a yaml is read."""
    return [files("pneumo_ad.conf"), *own_conf().values()]


@cache
def choices(group: str) -> list[str]:
    """List the choices of a config group, sorted; empty if there is no such group.

    Args:
        group: Name of the group, a folder of `pneumo_ad.conf` or of the `conf` of a trusted package.
    """
    return sorted(entry.name.removesuffix(".yaml") for entry in _yaml_of(group))


def _yaml_of(group: str) -> list[Traversable]:
    folders = [folder / group for folder in conf_folders() if group.isidentifier()]
    found = [entry for folder in folders if folder.is_dir() for entry in folder.iterdir()]
    return list({entry.name: entry for entry in reversed(found) if entry.name.endswith(".yaml")}.values())


@cache
def groups_of(config_name: str) -> dict[str, str | None]:
    """Map the groups of a config to their defaults; groups that another group's choice adds come last, with None.

    Args:
        config_name: Name of a config of `pneumo_ad.conf`; it is read, not composed.

    >>> groups_of("audit")
    {'data': 'phantom', 'lungs': None}
    """
    chosen = [pair for entry in read_yaml(config_name)["defaults"] if isinstance(entry, dict) for pair in entry.items()]
    own = {group: ",".join(one) if isinstance(one, list) else one for group, one in chosen if choices(group)}
    texts = (file.read_text(encoding="utf-8") for group in own for file in _yaml_of(group))
    return own | dict.fromkeys(group for text in texts for group in re.findall(r"^  - /(\w+)", text, re.MULTILINE))


def yaml_text(name: str) -> str:
    """Text of a yaml, of the first folder that has it, for example `train` or `net/unet`.

    Raises:
        FileNotFoundError: There is none.
    """
    places = [folder / f"{name}.yaml" for folder in conf_folders()]
    return next((place for place in places if place.is_file()), places[0]).read_text(encoding="utf-8")


@cache
def read_yaml(name: str) -> dict[str, Any]:
    """Content of a yaml; see `yaml_text`."""
    import yaml  # type: ignore[import-untyped]

    found: dict[str, Any] = yaml.safe_load(yaml_text(name))
    return found


@cache
def keys_of(config_name: str) -> frozenset[str]:
    """Top-level keys and groups of a config of `pneumo_ad.conf`, without composing it."""
    return frozenset({*read_yaml(config_name), *groups_of(config_name)} - {"defaults"})
