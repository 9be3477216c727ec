"""Where the framework keeps what it can build again, and what the user said once."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path, user_config_path


def cache_dir() -> Path:
    """Folder of stores, lung fields and phantoms: `PNEUMO_AD_CACHE`, else the user's own cache folder."""
    given = os.environ.get("PNEUMO_AD_CACHE")
    return Path(given).expanduser() if given else user_cache_path("pneumo_ad")


def config_dir() -> Path:
    """Folder of what the user trusts: `PNEUMO_AD_CONFIG`, else the user's own config folder."""
    given = os.environ.get("PNEUMO_AD_CONFIG")
    return Path(given).expanduser() if given else user_config_path("pneumo_ad")
