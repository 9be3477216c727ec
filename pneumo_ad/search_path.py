"""Where yaml is found besides `pneumo_ad.conf`. Nothing heavy is imported here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pneumo_ad.dot_hydra import HYDRA, read_runtime
from pneumo_ad.saved import is_there


def as_override(search_path: Sequence[str]) -> list[str]:
    """Places of yaml as Hydra takes them; nothing for none.

    >>> as_override(["pkg://their.conf", "file:///a b"])
    ["hydra.searchpath=['pkg://their.conf','file:///a b']"]
    """
    places = ",".join("'" + place.replace("'", "\\'") + "'" for place in search_path)
    return [f"hydra.searchpath=[{places}]"] if places else []


def saved_search_path(folder: Path) -> list[str]:
    """Where a run found yaml besides `pneumo_ad.conf`: its `hydra.searchpath` and `--config-dir`.

    Args:
        folder: The run folder; Hydra noted in it where it looked.

    Raises:
        DamagedError: See `read_runtime`.
    """
    if not is_there(folder / HYDRA):
        return []
    runtime = read_runtime(folder)
    found = []
    for source in runtime.config_sources:
        if source.schema == "file":  # a relative folder was relative to where the run was started
            found.append(f"file://{Path(runtime.cwd, source.path)}")
        elif source.schema == "pkg" and source.path not in ("hydra.conf", "pneumo_ad.conf"):
            found.append(f"pkg://{source.path}")
    return found
