"""Errors that the user can correct: the command line shows their message without a traceback."""

import errno
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
    r"""Error in the user's input; the message says what was given, what was expected and what would work.

    Args:
        lines: Lines of the message. A line feed within a line is escaped (`printable`), so that a name, for example of
            a file, cannot add a line to the message.

    >>> print(UserError("scan\nerror: forged.png: no image", "  the second line"))
    scan\nerror: forged.png: no image
      the second line
    """

    def __init__(self, *lines: object) -> None:
        super().__init__(*(printable(str(line)) for line in lines))

    def __str__(self) -> str:
        return "\n".join(self.args)


class DataError(UserError):
    """File, folder or table that is missing, unreadable or not as expected."""


class DivergedError(UserError):
    """Loss, weights or scores that are not finite, as after diverged training."""


class DamagedError(DataError):
    """Damaged file of this project, or a file in its place that this project did not write."""


class ConfigError(UserError):
    """Invalid option, or options that do not work together."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the end of a sentence that suggests the known word nearest to a misspelt one; empty if none is near.

    Args:
        word: Unknown word.
        known: Known words.

    >>> did_you_mean("strid", ["patch", "stride"])
    '; did you mean stride?'
    """
    near = get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def counted(number: int, thing: str) -> str:
    """Count things in words.

    Args:
        number: How many.
        thing: Name of one, whose plural ends in s.

    >>> counted(1, "file"), counted(2000, "file")
    ('1 file', '2,000 files')
    """
    return f"{number:,} {thing}{'s' * (number != 1)}"


def system_words(reason: OSError) -> str:
    """Describe an error of the operating system: the file, what is wrong, and what to do where the disk is full.

    Args:
        reason: Error with a number (`errno`).

    >>> system_words(OSError(errno.ENOSPC, "No space left on device", "run/metrics.json"))
    'run/metrics.json: the disk is full; what was finished is kept, and the same command goes on once there is room'
    >>> system_words(OSError(errno.EROFS, "Read-only file system", "run"))
    'run: Read-only file system'
    """
    place = f"{printable(str(reason.filename))}: " if reason.filename else ""
    if reason.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{place}the disk is full; what was finished is kept, and the same command goes on once there is room"
    return f"{place}{reason.strerror}"


@contextmanager
def ending_in_words() -> Iterator[None]:
    """End the process after a `UserError` or system error, with its message and no traceback.

    PNEUMO_AD_TRACEBACK=1, or `-v`, keeps the traceback.

    Raises:
        SystemExit: After such an error, with exit status 2; after Ctrl-C, with 130.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except (UserError, OSError) as reason:
        if isinstance(reason, BrokenPipeError) or os.environ.get("PNEUMO_AD_TRACEBACK"):
            raise
        if isinstance(reason, OSError) and not reason.strerror:  # raised by a library, not by the system
            raise
        print(f"error: {system_words(reason) if isinstance(reason, OSError) else reason}", file=sys.stderr)
        raise SystemExit(2) from None


VERBOSITY = "PNEUMO_AD_VERBOSITY"  # quiet or verbose; in the environment, so that child processes inherit it


def is_quiet() -> bool:
    """Whether only results and errors are shown (`--quiet`)."""
    return os.environ.get(VERBOSITY) == "quiet"


# Control characters, marks that change the writing direction, line separators, and bytes of a name that are no UTF-8.
_RAW = "\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_IN_LINE = re.compile(f"[\t\n{_RAW}]")
_IN_TEXT = re.compile(f"[{_RAW}]")


def printable(words: str, lines: bool = False) -> str:
    r"""Escape every character of a text that a terminal should not get; other text is not changed.

    Backslashes are not escaped, so that a second call changes nothing; two names may thus become equal (see `walk`).

    Args:
        words: Any text; may hold surrogates, as paths do in Python.
        lines: Whether line feeds and tabs are kept.

    >>> print(printable("bad\udcff.png\nerror: forged \x1b[31m"), printable("Лёгкие 肺.png"))
    bad\udcff.png\nerror: forged \x1b[31m Лёгкие 肺.png
    """
    return (_IN_TEXT if lines else _IN_LINE).sub(lambda match: ascii(match.group())[1:-1], words)


def print_safely() -> None:
    """Pass the warnings and log records of this process through `printable`; printing escapes what it cannot encode."""
    for stream in (sys.stdout, sys.stderr):
        if callable(reconfigure := getattr(stream, "reconfigure", None)):
            reconfigure(errors="backslashreplace")
    _escape_records()


@cache
def _escape_records() -> None:
    """Escape log records and warnings, once for the process and for handlers that are added later too."""
    make: Callable[..., logging.LogRecord] = logging.getLogRecordFactory()
    format_warning = warnings.formatwarning

    def record(*arguments: Any, **more: Any) -> logging.LogRecord:
        made = make(*arguments, **more)
        made.msg = printable(made.msg, lines=True) if isinstance(made.msg, str) else made.msg
        if isinstance(made.args, tuple):
            made.args = tuple(printable(str(arg)) if isinstance(arg, str | Path) else arg for arg in made.args)
        return made

    def warning(message: Warning | str, *arguments: Any, **more: Any) -> str:
        if type(message) is UserWarning:  # about data: no line of code explains it
            return f"warning: {printable(str(message), lines=True)}\n"
        return printable(format_warning(message, *arguments, **more), lines=True)

    logging.setLogRecordFactory(record)
    warnings.formatwarning = warning
