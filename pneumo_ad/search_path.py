"""Where yaml is found besides `pneumo_ad.conf`. Nothing heavy is imported here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from omegaconf import OmegaConf


def as_override(search_path: Sequence[str]) -> list[str]:
    """Places of yaml as Hydra takes them; nothing for none.

    >>> as_override(["pkg://their.conf", "file:///a b"])
    ["hydra.searchpath=['pkg://their.conf','file:///a b']"]
    """
    places = ",".join("'" + place.replace("'", "\\'") + "'" for place in search_path)
    return [f"hydra.searchpath=[{places}]"] if places else []


def saved_search_path(folder: Path, below: bool = False) -> list[str]:
    """Where a run found yaml besides `pneumo_ad.conf`: its `hydra.searchpath` and `--config-dir`.

    Args:
        folder: The run folder; Hydra noted in it where it looked.
        below: Name folders below that in which the run was started from there on, for what is shown.
    """
    file = folder / ".hydra" / "hydra.yaml"
    if not file.is_file():
        return []
    runtime = OmegaConf.load(file).hydra.runtime
    found = []
    for source in runtime.config_sources:
        if source.schema == "file":  # a relative folder was relative to where the run was started
            place, start = Path(runtime.cwd, source.path), Path(runtime.cwd)
            found.append(f"file://{place.relative_to(start) if below and place.is_relative_to(start) else place}")
        elif source.schema == "pkg" and source.path not in ("hydra.conf", "pneumo_ad.conf"):
            found.append(f"pkg://{source.path}")
    return found
