"""Shards: stretches of a sorted list, each taken by a process of its own."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pneumo_ad.errors import ConfigError


def stretches(length: int, shards: int) -> list[npt.NDArray[np.intp]]:
    """Split the places of a list into consecutive stretches, in order, whose lengths differ by one at most.

    Args:
        length: Length of the list, which every process sorts alike.
        shards: Number of stretches.

    Raises:
        ConfigError: Fewer than one, or more than radiographs.

    >>> [part.tolist() for part in stretches(5, 2)]
    [[0, 1, 2], [3, 4]]
    """
    if isinstance(shards, bool) or not isinstance(shards, int) or not 1 <= shards <= length:
        raise ConfigError(f"{shards} shards of {length} images; expected a number from 1 to {length}")
    return np.array_split(np.arange(length), shards)


def check_shard(shard: object, shards: int) -> None:
    """Check the number of a shard; None stands for all of them.

    Args:
        shard: Value to check.
        shards: Number of shards.

    Raises:
        ConfigError: Neither None nor a number from 0 to `shards` - 1.
    """
    if shard is not None and (isinstance(shard, bool) or not isinstance(shard, int) or not 0 <= shard < shards):
        raise ConfigError(
            f"shard={shard} is out of range: num_shards={shards} has shards 0 to {shards - 1}; null takes all"
        )
