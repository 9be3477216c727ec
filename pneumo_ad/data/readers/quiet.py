"""Warnings that say nothing to the user are kept still, and nobody else's are stirred up by that."""

from __future__ import annotations

import re
import threading
import warnings

_LOCK = threading.Lock()


def ignore_warnings(category: type[Warning] = Warning, module: str = "") -> None:
    """See that such warnings are ignored, whoever has reset the filters since the last call (as pytest does).

    Every change of the filters makes Python forget what it has warned of once, so that it would warn again of each
    file: a filter that is there is left as it is.

    Args:
        category: Category of the warnings.
        module: Regular expression that the beginning of the warning module's name must match; default: any module.
    """
    with _LOCK:
        if ("ignore", None, category, re.compile(module) if module else None, 0) not in warnings.filters:
            warnings.filterwarnings("ignore", category=category, module=module)
