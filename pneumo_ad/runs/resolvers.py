"""Words of our own in configs. Imported by whatever opens a config; nothing heavy is imported here."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from omegaconf import OmegaConf


def run_name(overrides: str) -> str:
    """The folder of a run within its sweep: what varies, as far as a file system takes it; `run` where nothing does.

    >>> run_name("net.width=4,seed=1")
    'net.width=4,seed=1'
    >>> run_name("data.root=/x/y,seed=1")
    'data.root=xy,seed=1-6450a5'
    """
    if not overrides:
        return "run"
    return overrides if re.fullmatch(r"[A-Za-z0-9_.,=+@-]{1,120}", overrides) else short(overrides, overrides)


def short(words: str, whole: str) -> str:
    """A name that any file system takes: shortened words, and a digest that distinguishes names of the same words.

    Args:
        words: Text to shorten.
        whole: Text that the digest is made of.
    """
    return f"{re.sub(r'[^A-Za-z0-9_.,=+@-]', '', words)[:100]}-{hashlib.sha256(whole.encode()).hexdigest()[:6]}"


def share(size: int | Sequence[int], parts: int) -> int:
    """`${share:${image_size},8}`: an eighth of the (shorter) side, in whole pixels.

    Args:
        size: Side, or (height, width), in pixels.
        parts: How many of the result make the side.

    >>> share(256, 8), share([424, 440], 8)
    (32, 53)
    """
    return (size if isinstance(size, int) else min(size)) // parts


OmegaConf.register_new_resolver("run_name", run_name, replace=True)
OmegaConf.register_new_resolver("share", share, replace=True)
