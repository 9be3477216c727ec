"""Provenance of a run: commit, versions, machine, seed and command line."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

import lightning as L
import torch
from omegaconf import DictConfig

import pneumo_ad
from pneumo_ad.runs.dot_hydra import read_overrides
from pneumo_ad.runs.search_path import as_override, saved_search_path


def provenance_of(config: DictConfig) -> dict[str, object]:
    """Return commit, versions, machine, seed and command line of a run."""
    return {
        "command": [
            *read_overrides(Path(config.run_dir)),
            *as_override(saved_search_path(Path(config.run_dir), below=True)),
        ],
        "name": config.name,
        "seed": config.seed,
        "commit": _commit(),
        "pneumo_ad": pneumo_ad.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "lightning": L.__version__,
        "machine": torch.cuda.get_device_name()
        if torch.cuda.is_available()
        else platform.processor() or platform.machine(),
    }


def _commit() -> str | None:
    """Commit of the running source tree, with `+` if it has changes; None for an installed wheel."""
    here = Path(pneumo_ad.__file__).parent
    if not (here.parent / ".git").exists():  # installed: a repository further up is another project's
        return None
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--abbrev=12", "--exclude=*", "--dirty=+"],
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"LC_ALL": "C"},
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return described.stdout.strip() or None
