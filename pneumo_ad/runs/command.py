"""Definition of a `pneumo-ad` command: its texts and its keys. No heavy imports."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from textwrap import wrap
from typing import Any

from pneumo_ad.runs.arguments import Arguments, Key, as_typed, check_given, choices, groups_of, parse
from pneumo_ad.runs.check_keys import check_known
from pneumo_ad.runs.verbosity import set_log_level

_COLUMN = 23  # start of a key's description and of a group's choices
_OPTION_COLUMN = 29  # start of the choices of a config option
_WIDTH = 100


@dataclass(frozen=True)
class Command:
    """Command: the `COMMAND` of a file in `commands`, named as that file with `-` for `_`.

    Attributes:
        section: Section of the overview that lists the command: train, look or use.
        place: Position in that section.
        summary: Description in the overview.
        example: Arguments that the overview shows.
        run: Function that does the work, given the arguments as typed.
        usage: Text that `--help` prints: `{keys}` becomes the table of keys, `{groups}` that of the groups of `config`,
            `{data}` the choices of the group `data`.
        show: Function that prints what `run` returned, given that and the parsed arguments; None where `run` prints.
        sweep: Function that does the work with `-m`, given the arguments as typed; None where `run` takes that too.
        keys: Keys of the command itself; other `key=value` are overrides of `config`.
        config: Name of the config in `pneumo_ad.conf` that overrides change; empty where there is none.
        takes_names: Whether the command takes arguments without a key; see `arguments.parse`.
        alone: Whether the command runs without any argument, instead of printing its usage.
    """

    section: str
    place: int
    summary: str
    example: str
    run: Callable[[list[str]], Any]
    usage: str
    show: Callable[[Any, Arguments], None] | None = None
    sweep: Callable[[list[str]], None] | None = None
    keys: tuple[Key, ...] = ()
    config: str = ""
    takes_names: bool = False
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
            self.run(arguments)
            return
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        set_log_level()
        self.show(self.run(arguments), self.parse(arguments))

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
        given = parse(as_typed(arguments, further), self.keys, self.takes_names)
        where = given.own.get("run") or next((Path(name) for name in given.names), None)
        check_known(given.overrides, self.keys, self.config, where)  # first: a missing key may be a mistyped one
        check_given(given, self.keys)
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
