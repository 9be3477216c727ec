"""Suppression of warnings that do not help the user, without repeating others."""

from __future__ import annotations

import re
import threading
import warnings

_LOCK = threading.Lock()


def ignore_warnings(category: type[Warning] = Warning, module: str = "") -> None:
    """Ignore warnings of a category, even if the filters were reset since the last call (as pytest does).

    Every change of the filters makes Python forget which warnings it has shown, and it would repeat them for each file.
    A filter that exists is therefore not set again.

    Args:
        category: Category of the warnings.
        module: Regular expression that the beginning of the warning module's name must match; default: any module.
    """
    with _LOCK:
        if ("ignore", None, category, re.compile(module) if module else None, 0) not in warnings.filters:
            warnings.filterwarnings("ignore", category=category, module=module)
