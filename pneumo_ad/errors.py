"""Errors that are the user's to mend: the command line shows their message without a traceback."""

import logging
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any


class UserError(ValueError):
    r"""Something the caller gave cannot work; the message says what came, what was expected and what would work.

    Args:
        lines: Lines of the message. A line feed within one came with a name, for example of a file, and is escaped
            (`printable`), so that a name cannot add a line to the message.

    >>> print(UserError("scan\nerror: forged.png: no image", "  the second line"))
    scan\nerror: forged.png: no image
      the second line
    """

    def __init__(self, *lines: object) -> None:
        super().__init__(*(printable(str(line)) for line in lines))

    def __str__(self) -> str:
        return "\n".join(self.args)


class DataError(UserError):
    """A file, folder or table that is not what it should be."""


class DivergedError(UserError):
    """A loss, weights or scores that are not finite: what a training that diverged leaves behind."""


class DamagedError(DataError):
    """A file that this project wrote, and that is no longer, or never was, what it wrote."""


class ConfigError(UserError):
    """Options that cannot work, or cannot work together."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a sentence that offers the known word nearest to another; empty where none is near.

    Args:
        word: Word that is not known.
        known: Words that are known.

    >>> did_you_mean("strid", ["patch", "stride"])
    '; did you mean stride?'
    """
    near = get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


@contextmanager
def ending_in_words() -> Iterator[None]:
    """End the process with the message of a `UserError` alone; PNEUMO_AD_TRACEBACK=1 shows where it arose.

    Raises:
        SystemExit: With 2.
    """
    try:
        yield
    except UserError as reason:
        if os.environ.get("PNEUMO_AD_TRACEBACK"):
            raise
        print(f"error: {reason}", file=sys.stderr)
        raise SystemExit(2) from None


# Control characters, marks that turn the direction of writing, line separators, and bytes of a name that are no UTF-8.
_RAW = "\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_IN_LINE = re.compile(f"[\t\n{_RAW}]")
_IN_TEXT = re.compile(f"[{_RAW}]")


def printable(words: str, lines: bool = False) -> str:
    r"""Text with every character that is not to be printed written as its escape; what is clean stays as it is.

    A backslash stays one, so that it is done twice without harm; whoever needs names that differ sees to that (`walk`).

    Args:
        words: Any text, as Python has it of a path.
        lines: Whether line feeds and tabs are meant, and stay.

    >>> print(printable("bad\udcff.png\nerror: forged \x1b[31m"), printable("Лёгкие 肺.png"))
    bad\udcff.png\nerror: forged \x1b[31m Лёгкие 肺.png
    """
    return (_IN_TEXT if lines else _IN_LINE).sub(lambda found: ascii(found.group())[1:-1], words)


def print_safely() -> None:
    """See that warnings, log records and prints of this process reach the terminal as `printable` has them."""
    for stream in (sys.stdout, sys.stderr):
        if callable(reconfigure := getattr(stream, "reconfigure", None)):
            reconfigure(errors="backslashreplace")
    _escape_records()


@cache
def _escape_records() -> None:
    """Once for the process, whatever handlers come later."""
    make: Callable[..., logging.LogRecord] = logging.getLogRecordFactory()
    said = warnings.formatwarning

    def record(*arguments: Any, **more: Any) -> logging.LogRecord:
        made = make(*arguments, **more)
        made.msg = printable(made.msg, lines=True) if isinstance(made.msg, str) else made.msg
        if isinstance(made.args, tuple):
            made.args = tuple(printable(str(one)) if isinstance(one, str | Path) else one for one in made.args)
        return made

    def warning(message: Warning | str, *arguments: Any, **more: Any) -> str:
        return printable(said(message, *arguments, **more), lines=True)

    logging.setLogRecordFactory(record)
    warnings.formatwarning = warning
