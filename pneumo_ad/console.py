"""The terminal of a command: results on stdout; bars, log and notices on stderr, as `--quiet` and `-v` ask for."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

_VERBOSITY = "PNEUMO_AD_VERBOSITY"  # in the environment, so that processes that a command starts know it
_OPTIONS = {"--quiet": "quiet", "-q": "quiet", "--verbose": "verbose", "-v": "verbose"}

# Notices of Lightning and torch that ask for nothing, or for what a command does on purpose.
_NOTICES = (
    r".*The `srun` command is available",
    r".*LeafSpec",
    r"Total length of `\w+` across ranks is zero",
    r"The number of training batches \(\d+\) is smaller than the logging interval",
    r".*does not have many workers",
    r"Checkpoint directory .* exists and is not empty",
    r"The dirpath has changed from",
)


def without_verbosity(arguments: Sequence[str]) -> list[str]:
    """Return arguments without `--quiet` and `-v`, and keep for this process and those that it starts what they say.

    Args:
        arguments: Arguments as typed.
    """
    for argument in arguments:
        if argument in _OPTIONS:
            os.environ[_VERBOSITY] = _OPTIONS[argument]
    return [argument for argument in arguments if argument not in _OPTIONS]


def is_quiet() -> bool:
    """Whether results and errors alone are wanted (`--quiet`)."""
    return os.environ.get(_VERBOSITY) == "quiet"


def is_verbose() -> bool:
    """Whether notices of other packages and tracebacks are wanted too (`-v`)."""
    return os.environ.get(_VERBOSITY) == "verbose"


def has_bars() -> bool:
    """Whether progress bars are drawn: on a terminal alone, as a file would hold each of their states."""
    return sys.stderr.isatty() and not is_quiet()


def progress_bar(rows: Iterable[Any] | None = None, *, shown: bool = True, **options: Any) -> Any:
    """Return a progress bar of tqdm, which draws nothing where `has_bars` is false, outside of notebooks.

    Args:
        rows: What the bar goes through; None for a bar that is updated by hand.
        shown: Whether the bar is wanted at all.
        options: Further options of tqdm, such as `total`, `desc` and `unit`.
    """
    from tqdm.auto import tqdm

    return tqdm(rows, disable=None if shown and not is_quiet() else True, leave=False, **options)


def set_log_level(level: int = logging.INFO) -> None:
    """Let the log's lines of a level reach the terminal: warnings alone if quiet; log files are not changed.

    Args:
        level: Lowest level shown, unless `--quiet` or `-v` says otherwise.
    """
    shown = logging.WARNING if is_quiet() else logging.INFO if is_verbose() else level
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
            handler.setLevel(shown)


def hush_others() -> None:
    """Drop notices of other packages that a user can do nothing about; `-v` shows them."""
    if is_verbose():
        return
    for category in (DeprecationWarning, PendingDeprecationWarning, FutureWarning):
        warnings.simplefilter("ignore", category)
    for notice in _NOTICES:
        warnings.filterwarnings("ignore", notice)
