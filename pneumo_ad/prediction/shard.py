"""Shard of a prediction: a stretch of the radiographs of an input, judged by a process of its own.

It is cut between groups of radiographs that are scored together: scores of another group differ in their last digits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pneumo_ad.data.shards import check_shard, stretches
from pneumo_ad.inference.radiographs import groups
from pneumo_ad.patches import PatchGrid
from pneumo_ad.prediction.inputs import File


@dataclass(frozen=True)
class Shard:
    """Shard of a prediction.

    Attributes:
        number: Number of the shard, from 0.
        count: Number of shards.
    """

    number: int
    count: int

    @property
    def name(self) -> str:
        """Name of the folder of its records.

        >>> Shard(1, 4).name
        '1-of-4'
        """
        return f"{self.number}-of-{self.count}"

    def __str__(self) -> str:
        """Words for it: `shard 1 of 4`."""
        return f"shard {self.number} of {self.count}"

    def of(self, radiographs: Sequence[File], grid: PatchGrid) -> list[File]:
        """Return the radiographs of the shard; none where there are fewer groups than shards.

        Args:
            radiographs: All radiographs of the input, sorted by name.
            grid: Grid of the windows, on whose image size the groups depend.
        """
        parts = list(groups(np.arange(len(radiographs)), grid))
        own = np.array_split(np.arange(len(parts)), self.count)[self.number]
        return [radiographs[place] for part in own for place in parts[part]]


def chosen_shard(shard: int | None, num_shards: int, radiographs: Sequence[File]) -> Shard | None:
    """Return the shard that was asked for; None for all of them, which one process judges as without shards.

    Args:
        shard: Number of the shard, or None.
        num_shards: Number of shards.
        radiographs: All radiographs of the input.

    Raises:
        ConfigError: No such shard, or more shards than radiographs.
    """
    stretches(len(radiographs), num_shards)  # refuses a wrong number
    check_shard(shard, num_shards)
    return None if shard is None or num_shards == 1 else Shard(shard, num_shards)
