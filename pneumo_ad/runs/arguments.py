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
from typing import Any, Literal, TypeAlias

from pneumo_ad.errors import ConfigError, did_you_mean
from pneumo_ad.runs.grammar import for_hydra
from pneumo_ad.runs.shipped import SHIPPED
from pneumo_ad.runs.trusted import own_conf
from pneumo_ad.saved import is_there

Reader = Callable[[str], Any]  # text -> value; a ValueError says what is expected
Place: TypeAlias = str | os.PathLike[str]
Overrides: TypeAlias = str | Sequence[str] | Mapping[str, object]  # "stride=4", several of them, or {"stride": 4}
Subset: TypeAlias = Literal["train", "val", "test", "all"]


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
        default: Value where the key was not given, or was given empty, for `parse`; a typed function has its own.
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
    """The arguments of a command, read.

    Attributes:
        own: Values of the command's own keys, by name.
        overrides: Overrides of a config, in Hydra's grammar.
        measured: The own keys that measured results depend on, `key=value`, in the order of the keys.
        names: Arguments that were typed without a key.
    """

    own: Mapping[str, Any]
    overrides: list[str]
    measured: list[str]
    names: list[str]

    @property
    def changes(self) -> list[str]:
        """Overrides and own keys that measured results depend on: a folder of results is named after them."""
        return [*self.overrides, *self.measured]

    def __getitem__(self, name: str) -> Any:
        """Value of one of the command's own keys."""
        return self.own[name]


def as_typed(arguments: Place | Sequence[str], keywords: Mapping[str, object]) -> list[str]:
    """Convert the arguments of a Python call to arguments of the command line.

    Args:
        arguments: Arguments as on the command line, or a single one.
        keywords: Further arguments, key -> value.

    >>> as_typed(["stride=4"], {"run": Path("runs/x"), "report": True, "subset": None, "data.root": "/a"})
    ['stride=4', 'run=runs/x', 'report=true', 'subset=null', 'data.root=/a']
    """
    alone = [os.fspath(arguments)] if isinstance(arguments, str | os.PathLike) else [str(one) for one in arguments]
    return [*alone, *(f"{key}={_text(value)}" for key, value in keywords.items())]


def as_overrides(given: Overrides) -> list[str]:
    """Convert overrides of a Python call to Hydra's grammar.

    Args:
        given: One override, several, or a mapping of keys to values.

    Raises:
        ConfigError: A value that may be meant otherwise (`for_hydra`), or an override without `=`.

    >>> as_overrides({"stride": 4, "relative": None}), as_overrides("stride=4"), as_overrides(["~logger"])
    (['stride=4', 'relative=null'], ['stride=4'], ['~logger'])
    """
    typed = as_typed((), given) if isinstance(given, Mapping) else as_typed(given, {})
    for one in typed:
        if "=" not in one and not one.startswith("~"):
            raise ConfigError(f"{one} is no override; expected KEY=VALUE")
    return [for_hydra(one) for one in typed]


def _text(value: object) -> str:
    """Return a value as it would be typed."""
    words = {True: "true", False: "false", None: "null"}
    return words[value] if isinstance(value, bool | None) else str(value)


def split(
    arguments: Sequence[str], keys: Sequence[Key], takes_names: bool = False
) -> tuple[dict[str, str], list[str], list[str]]:
    """Split typed arguments into own keys, as typed, overrides in Hydra's grammar, and names.

    Args:
        arguments: Arguments as typed.
        keys: Keys of the command itself; one that is given empty counts as not given.
        takes_names: Whether the command takes arguments without a key; a folder may then have a `=` in its name.

    Raises:
        ConfigError: An argument has no `=`.
    """
    known = {key.name for key in keys}
    own: dict[str, str] = {}
    overrides, names = [], []
    for argument in arguments:
        name, equals, text = argument.partition("=")
        if equals and name in known:
            own[name] = text
        elif takes_names and (_is_folder(argument) or not (equals or argument.startswith("-"))):
            names.append(argument)
        elif not equals and not argument.startswith("~"):
            raise ConfigError(f"{argument} is not known; expected KEY=VALUE{_meant(argument, known)}")
        else:
            overrides.append(for_hydra(argument))
    return {name: text for name, text in own.items() if text}, overrides, names


def read(values: Mapping[str, object], keys: Sequence[Key]) -> tuple[dict[str, Any], list[str]]:
    """Read the values of own keys, typed or of a Python call, by the readers of the keys.

    Args:
        values: Key -> value; None, "" and () are no value. `run` may be an opened run, which is not read.
        keys: Keys of the command itself, all of which `values` has.

    Returns:
        Key -> value as read, and `key=value` of the keys that measured results depend on.

    Raises:
        ConfigError: A key does not accept its value.
    """
    own: dict[str, Any] = {}
    measured = []
    for key in keys:
        value = own[key.name] = values[key.name]
        if value is None or value in ("", ()):
            continue
        if not isinstance(value, str | os.PathLike | bool | int | float):
            if key.name != "run" or isinstance(value, Iterable):
                kind = type(value).__name__
                hint = "; overrides are an argument of their own" if key.name == "run" else ""
                raise ConfigError(f"{key.name}={value!r} is a {kind}; expected one value, {key.name}={key.shows}{hint}")
            continue
        own[key.name] = _read(key, _text(value))
        if key.measures and own[key.name] != key.default:
            measured.append(f"{key.name}={_text(value)}")
    return own, measured


def parse(arguments: Sequence[str], keys: Sequence[Key], takes_names: bool = False) -> Arguments:
    """Split and read typed arguments; `check_given` checks that required keys are there.

    Args:
        arguments: Arguments as typed.
        keys: Keys of the command itself.
        takes_names: See `split`.

    Raises:
        ConfigError: A key does not accept its value, or an argument has no `=`.

    >>> given = parse(["run=r", "output=a=b [c], d", "stride=4"], [RUN, Key("output", read=path)])
    >>> given["output"].name, given.overrides
    ('a=b [c], d', ['stride=4'])
    """
    typed, overrides, names = split(arguments, keys, takes_names)
    own, measured = read({key.name: typed.get(key.name) for key in keys}, keys)
    values = {key.name: own[key.name] if key.name in typed else key.default for key in keys}
    return Arguments(values, overrides, measured, names)


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
    try:
        return key.read(text)
    except ConfigError as reason:
        raise ConfigError(f"{key.name}={reason}") from None
    except ValueError as reason:
        raise ConfigError(f"{key.name}={text} is not known; expected {reason}") from None


def _meant(argument: str, known: Iterable[str]) -> str:
    """Suggest a fix: a path without a key is most often the run or the input, a word without a value a mistyped key."""
    path, keys = Path(expanded(argument)), set(known)
    if is_there(path) and keys & {"run", "input"}:
        is_run = any(is_there(path / name) for name in (".hydra", "run.json", "model.json"))
        key = "run" if "run" in keys and (is_run or "input" not in keys) else "input"
        return f"; did you mean {key}={argument}?"
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
    {'data': 'phantom', 'vocabulary': 'radiograph', 'lungs': None}
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
