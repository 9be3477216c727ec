"""Where the framework keeps what it can build again, and what the user said once."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from platformdirs import user_cache_path, user_config_path


def cache_dir() -> Path:
    """Folder of stores, lung fields and phantoms: `PNEUMO_AD_CACHE`, else the user's own cache folder."""
    given = os.environ.get("PNEUMO_AD_CACHE")
    return Path(given).expanduser() if given else user_cache_path("pneumo_ad")


def replace_paths(text: str, instead: Mapping[str, str]) -> str:
    """A text with other paths in it.

    Args:
        text: Any.
        instead: Path -> what stands in its place; of paths that begin alike the longest counts.

    >>> replace_paths("/x/set/a.png: no such file", {"/x/set": "set"})
    'set/a.png: no such file'
    """
    paths = sorted(filter(None, instead), key=len, reverse=True)
    return re.sub("|".join(map(re.escape, paths)), lambda found: instead[found[0]], text) if paths else text


def config_dir() -> Path:
    """Folder of what the user trusts: `PNEUMO_AD_CONFIG`, else the user's own config folder."""
    given = os.environ.get("PNEUMO_AD_CONFIG")
    return Path(given).expanduser() if given else user_config_path("pneumo_ad")
