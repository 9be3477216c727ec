"""Command line `pneumo-ad COMMAND [arguments]`: dispatch, overview, usage texts and errors.

Commands are found in `commands/`, one file each.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from importlib import import_module
from itertools import groupby
from pkgutil import iter_modules

from pneumo_ad import commands
from pneumo_ad.errors import ConfigError, did_you_mean, ending_in_words, print_safely
from pneumo_ad.runs.command import Command
from pneumo_ad.runs.verbosity import hush_others, without_verbosity

_SECTIONS = ("train", "look", "use")
_END = """\
`pneumo-ad COMMAND --help` explains a command, its groups and its keys.
Beside any of them, --quiet prints results and errors alone, -v also notices of other packages and tracebacks, and
trust=NAME lets run folders use a package of your own; see SECURITY.md.
PNEUMO_AD_CACHE names the folder of stores; PNEUMO_AD_TRACEBACK=1 shows where in the code an error arose."""


def main(argv: list[str] | None = None) -> None:
    """Run the command line; exits with 2 after an error that the user can fix."""
    print_safely()
    name, *arguments = without_verbosity(sys.argv[1:] if argv is None else argv) or ["--help"]
    hush_others()
    try:
        _answer(name, arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # `| head` has read enough; at exit Python would flush what is left, and complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None


def _answer(name: str, arguments: list[str]) -> None:
    if name in ("-h", "--help", "help"):
        print(overview())
    elif name in ("-V", "--version"):
        import pneumo_ad

        print(pneumo_ad.__version__)
    else:
        with ending_in_words():
            _run(name, arguments)


def _run(name: str, arguments: list[str]) -> None:
    if name not in command_names():
        raise ConfigError(
            f"unknown command {name!r}{did_you_mean(name, command_names())} Commands: {', '.join(command_names())}"
        )
    command = command_of(name)
    asks = {"-h", "--help"} & {*arguments} or not (arguments or command.alone)
    if asks:
        print(command.help())
    else:
        command(_without_trust(arguments))


@cache
def command_names() -> list[str]:
    """List the names of all commands, in the order of the overview."""
    names = (module.name.replace("_", "-") for module in iter_modules(commands.__path__))
    return sorted(names, key=lambda name: (_SECTIONS.index(command_of(name).section), command_of(name).place))


def command_of(name: str) -> Command:
    """Import a command by its name."""
    command: Command = import_module(f"pneumo_ad.commands.{name.replace('-', '_')}").COMMAND
    return command


def overview() -> str:
    """Return the text of `pneumo-ad --help`."""
    lines = ["pneumo-ad COMMAND [arguments]", ""]
    for section, names in groupby(command_names(), key=lambda name: command_of(name).section):
        found = [(name, command_of(name)) for name in names]
        lines += [f"  {section}"]
        lines += [f"    {name:<12} {one.summary:<53}  {one.example}".rstrip() for name, one in found]
        lines += [""]
    return "\n".join([*lines, _END])


def _without_trust(arguments: list[str]) -> list[str]:
    """Arguments without `trust=NAME`, which holds for all commands; its name is recorded."""
    for argument in arguments:
        if argument.startswith("trust="):
            from pneumo_ad.runs.trust import trust

            if trust(argument.removeprefix("trust=")):
                print(f"trusted from now on: {argument.removeprefix('trust=')}")
    return [argument for argument in arguments if not argument.startswith("trust=")]
