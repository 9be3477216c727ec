"""Custom OmegaConf resolvers, imported by every module that opens a config. No heavy imports."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import datetime
from itertools import count
from pathlib import Path

from omegaconf import OmegaConf


def run_name(overrides: str) -> str:
    """Name a run's folder in its sweep after the overrides that vary, safe for file systems; `run` if none vary.

    >>> run_name("net.width=4,seed=1")
    'net.width=4,seed=1'
    >>> run_name("data.root=/x/y,seed=1")
    'data.root=xy,seed=1-6450a5'
    """
    overrides = re.sub(r"(^|,)\+\+", r"\1", overrides)  # added to what is typed, see `with_trainer_arguments`
    if not overrides:
        return "run"
    return overrides if re.fullmatch(r"[A-Za-z0-9_.,=+@-]{1,120}", overrides) else short(overrides, overrides)


def short(words: str, whole: str) -> str:
    """Return a name that any file system takes: shortened text and a digest that makes it unique.

    Args:
        words: Text to shorten.
        whole: Text of the digest.
    """
    return f"{re.sub(r'[^A-Za-z0-9_.,=+@-]', '', words)[:100]}-{hashlib.sha256(whole.encode()).hexdigest()[:6]}"


def share(size: int | Sequence[int], parts: int) -> int:
    """Divide the (shorter) side by a number, in whole pixels: `${share:${image_size},8}` is an eighth.

    Args:
        size: Side, or (height, width), in pixels.
        parts: Divisor of the side.

    >>> share(256, 8), share([424, 440], 8)
    (32, 53)
    """
    return (size if isinstance(size, int) else min(size)) // parts


def new_folder(parent: str) -> str:
    """Create a folder named after the present second, and return its path; the next of that second gets a number.

    Where no folder can be created the path is returned all the same: Hydra, which creates it too, reports why.

    Args:
        parent: Folder to create it in.
    """
    now = f"{datetime.now():%Y-%m-%d_%H-%M-%S}"
    for number in count(1):
        folder = Path(parent, now if number == 1 else f"{now}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            if folder.is_dir():
                continue
        except OSError:
            pass
        break
    return str(folder)


OmegaConf.register_new_resolver("new_folder", new_folder, replace=True, use_cache=True)
OmegaConf.register_new_resolver("run_name", run_name, replace=True)
OmegaConf.register_new_resolver("share", share, replace=True)
