"""Definition of a `pneumo-ad` command: its texts and its keys. No heavy imports."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from inspect import signature
from os import PathLike
from pathlib import Path
from textwrap import wrap
from typing import Any, ParamSpec, TypeVar

from pneumo_ad.errors import ConfigError
from pneumo_ad.runs.arguments import (
    Arguments,
    Key,
    as_overrides,
    as_typed,
    check_given,
    choices,
    groups_of,
    parse,
    read,
    split,
)
from pneumo_ad.runs.check_keys import check_known
from pneumo_ad.runs.verbosity import set_log_level

_COLUMN = 23  # start of a key's description and of a group's choices
_OPTION_COLUMN = 29  # start of the choices of a config option
_WIDTH = 100
P = ParamSpec("P")
R = TypeVar("R")


def typed(function: Callable[P, R]) -> Callable[P, R]:
    """Make a function with typed parameters the `call` of the `COMMAND` of its module.

    A call that does not fit its parameters raises a `ConfigError`, in the words of the command line.

    Args:
        function: Function with a parameter for each key and each name of the command, and `overrides` if it has a
            config.
    """

    @wraps(function)
    def call(*arguments: P.args, **keywords: P.kwargs) -> R:
        try:
            signature(function).bind(*arguments, **keywords)
        except TypeError as reason:
            command: Command = function.__globals__["COMMAND"]
            raise command.refusal(function.__name__, keywords, str(reason)) from None
        return function(*arguments, **keywords)

    return call


@dataclass(frozen=True)
class Command:
    """Command: the `COMMAND` of a file in `commands`, named as that file with `-` for `_`.

    Attributes:
        section: Section of the overview that lists the command: train, look or use.
        place: Position in that section.
        summary: Description in the overview.
        example: Arguments that the overview shows.
        run: Function that does the work, given the arguments as typed; None where `call` does it.
        call: Function that does the work, with a parameter for each key (`typed`); None where `run` does it.
        usage: Text that `--help` prints: `{keys}` becomes the table of keys, `{groups}` that of the groups of `config`,
            `{data}` the choices of the group `data`.
        show: Function that prints what `call` or `run` returned, given that and the parsed arguments; None where `run`
            prints.
        sweep: Function that does the work with `-m`, given the arguments as typed; None where `run` takes that too.
        keys: Keys of the command itself; other `key=value` are overrides of `config`.
        config: Name of the config in `pneumo_ad.conf` that overrides change; empty where there is none.
        takes_names: Whether the command takes arguments without a key; see `arguments.split`.
        name: Parameter of `call` that takes the one argument without a key, and what is said where it is missing.
        alone: Whether the command runs without any argument, instead of printing its usage.
    """

    section: str
    place: int
    summary: str
    example: str
    usage: str
    run: Callable[[list[str]], Any] | None = None
    call: Callable[..., Any] | None = None
    show: Callable[[Any, Arguments], None] | None = None
    sweep: Callable[[list[str]], None] | None = None
    keys: tuple[Key, ...] = ()
    config: str = ""
    takes_names: bool = False
    name: tuple[str, str] = ("", "")
    alone: bool = False

    def __call__(self, arguments: list[str]) -> None:
        """Run the command and print its result.

        Args:
            arguments: Arguments as typed.
        """
        if self.sweep is not None and {"-m", "--multirun"} & {*arguments}:
            self.sweep(arguments)
            return
        if self.show is None:
            assert self.run is not None
            self.run(arguments)
            return
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        set_log_level()
        given = self.parse(arguments)
        self.show(self.call(**self.keywords(arguments)) if self.call else self.run(arguments), given)  # type: ignore[misc]

    def keywords(self, arguments: Sequence[str]) -> dict[str, Any]:
        """Return the keywords of `call` for arguments as typed; values of keys are not read yet."""
        own, overrides, names = split(arguments, self.keys, bool(self.name[0]))
        named = dict(zip([self.name[0]], names, strict=True)) if self.name[0] else {}
        return own | named | ({"overrides": overrides} if self.config else {})

    def read(self, values: Mapping[str, Any]) -> Arguments:
        """Read the arguments of a call of `call` as they are read from the command line.

        Args:
            values: Parameter -> value.

        Raises:
            ConfigError: An unknown key among the overrides, or a value that a key does not accept.
        """
        own, measured = read(values, self.keys)
        overrides = as_overrides(values["overrides"]) if self.config else []
        self._check(overrides, own.get("run") or values.get(self.name[0]))
        return Arguments(own, overrides, measured, [])

    def _check(self, overrides: Sequence[str], where: object) -> None:
        folder = getattr(where, "folder", where)  # of an opened run
        check_known(overrides, self.keys, self.config, Path(folder) if isinstance(folder, str | Path) else None)

    def refusal(self, name: str, keywords: Mapping[str, object], reason: str) -> ConfigError:
        """Return the error for a Python call that does not fit the parameters of `call`.

        Args:
            name: Name of the function.
            keywords: Keywords of the call.
            reason: Reason of Python.

        Raises:
            ConfigError: A keyword that is no key of the config either; names the nearest one.
        """
        known = signature(self.call).parameters if self.call else {}
        for key, value in keywords.items():
            if key not in known:
                self._check(as_typed((), {key: value}), keywords.get("run"))
                return ConfigError(f"{key}={value} is an override: {name}(..., overrides={{{key!r}: {value!r}}})")
        if self.name[0] and f"missing a required argument: '{self.name[0]}'" in reason:
            return ConfigError(self.name[1].format("none"))
        for one in self.keys:
            if one.missing and f"argument: '{one.name}'" in reason:
                return ConfigError(one.missing)
        return ConfigError(f"{name}: {reason}; it takes {', '.join(known)}")

    def help(self) -> str:
        """Return the usage text with its tables filled in."""
        groups = groups_of(self.config) if self.config else {}
        keys, table = "\n".join(map(_row, self.keys)), "\n".join(_group_row(*one) for one in groups.items())
        return self.usage.format_map(_Filled(keys=keys, groups=table))

    def parse(
        self,
        arguments: str | PathLike[str] | Sequence[str],
        keywords: Mapping[str, object] | None = None,
    ) -> Arguments:
        """Parse the arguments of the command.

        Args:
            arguments: Arguments as typed.
            keywords: Further arguments, of a call in Python.

        Raises:
            ConfigError: An unknown key, a missing key, or a value that a key does not accept.
        """
        own = {key.name for key in self.keys}
        further = {key: one for key, one in (keywords or {}).items() if one is not None or key not in own}
        given = parse(as_typed(arguments, further), self.keys, self.takes_names or bool(self.name[0]))
        self._check(given.overrides, given.own.get("run") or next(iter(given.names), None))
        check_given(given, self.keys)  # last: a missing key may be a mistyped one
        if self.name[0] and len(given.names) != 1:
            raise ConfigError(self.name[1].format(", ".join(given.names) or "none"))
        return given


class _Filled(dict[str, str]):
    def __missing__(self, group: str) -> str:
        return _listed(choices(group), _OPTION_COLUMN)


def _listed(names: Sequence[str], column: int) -> str:
    return ("\n" + " " * column).join(wrap(", ".join(names), _WIDTH - column))


def _group_row(group: str, default: str | None) -> str:
    return f"  {group}={default or 'CHOICE'} ".ljust(_COLUMN) + _listed(choices(group), _COLUMN)


def _row(key: Key) -> str:
    return f"  {key.name}={key.shows}".ljust(_COLUMN) + key.help.replace("\n", "\n" + " " * _COLUMN)
