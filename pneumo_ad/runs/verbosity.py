"""Verbosity of commands (`--quiet`, `-v`): level of the log, and notices of other packages."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Sequence

from pneumo_ad.errors import VERBOSITY, is_quiet

_OPTIONS = {"--quiet": "quiet", "-q": "quiet", "--verbose": "verbose", "-v": "verbose"}

# Notices of Lightning and torch that need no action, or report what a command does on purpose.
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
    """Remove `--quiet` and `-v` from arguments, and apply them to this process and its child processes.

    Args:
        arguments: Arguments as typed.
    """
    for argument in arguments:
        if argument in _OPTIONS:
            os.environ[VERBOSITY] = _OPTIONS[argument]
            if is_verbose():
                os.environ["PNEUMO_AD_TRACEBACK"] = "1"
    return [argument for argument in arguments if argument not in _OPTIONS]


def is_verbose() -> bool:
    """Whether notices of other packages and tracebacks are shown too (`-v`)."""
    return os.environ.get(VERBOSITY) == "verbose"


def set_log_level(level: int = logging.INFO) -> None:
    """Set the lowest level of log lines on the terminal; log files are not changed.

    Args:
        level: Lowest level shown, unless `--quiet` (WARNING) or `-v` (INFO) was given.
    """
    shown = logging.WARNING if is_quiet() else logging.INFO if is_verbose() else level
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
            handler.setLevel(shown)


def hush_others() -> None:
    """Suppress notices of other packages that need no action of the user; `-v` shows them."""
    if is_verbose():
        return
    for category in (DeprecationWarning, PendingDeprecationWarning, FutureWarning):
        warnings.simplefilter("ignore", category)
    for notice in _NOTICES:
        warnings.filterwarnings("ignore", notice)
