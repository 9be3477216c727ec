"""Where the framework keeps what it can build again."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path


def cache_dir() -> Path:
    """Folder of stores, lung fields and phantoms: `PNEUMO_AD_CACHE`, else the user's own cache folder."""
    given = os.environ.get("PNEUMO_AD_CACHE")
    return Path(given).expanduser() if given else user_cache_path("pneumo_ad")
