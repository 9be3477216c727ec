"""Which patches come when: orders that depend on (seed, epoch) alone, shares of several processes, exact resumption."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from pneumo_ad.data.datasets import already_a_batch
from pneumo_ad.errors import ConfigError

_HELD = 2**24  # patches up to which a permutation is held: 128 MiB
_AHEAD = 2**16  # numbers of an order that are worked out at a time
_TOGETHER = 2**19  # bytes that are cut at a time: more are no faster and leave the processor's cache


class EpochShuffle(DistributedSampler[int]):
    """A new order each epoch that depends on (seed, epoch) alone, so that a resumed run sees what it would have seen.

    Of several processes each takes every n-th patch of the one order: n batches of B / n patches, side by side, hold
    the patches of one process's batch of B. A rest that does not go round is left out of the epoch. It is a
    `DistributedSampler` so that Lightning leaves it as it is.

    Up to 2**24 patches an epoch is a permutation, or the beginning of one. A longer one would take gigabytes: its
    patches are drawn with replacement, so that some come twice in an epoch and others not at all (37 % of them, where
    `per_epoch` is not set), and no memory grows with their number.

    Args:
        length: Number of samples.
        seed: Fixes the orders.
        per_epoch: Draw only so many; None draws as many as there are.
        rank: Which process this is.
        ranks: Number of processes.

    Raises:
        ConfigError: `per_epoch` below 1.

    >>> shuffle = EpochShuffle(5, seed=0)
    >>> first = list(shuffle)
    >>> shuffle.set_epoch(1); list(shuffle) == first
    False
    >>> shuffle.set_epoch(0); list(shuffle) == first
    True
    >>> first[1:4:2] == list(EpochShuffle(5, seed=0, rank=1, ranks=2))
    True
    """

    def __init__(self, length: int, seed: int, per_epoch: int | None = None, rank: int = 0, ranks: int = 1) -> None:
        if per_epoch is not None and per_epoch < 1:
            raise ConfigError(f"per_epoch={per_epoch} must be at least 1, or null for all patches")
        super().__init__(range(length), num_replicas=ranks, rank=rank, seed=seed)  # type: ignore[arg-type]
        self.length = length
        self.count = min(length, per_epoch or length) // ranks
        self.first = 0  # samples of this rank to pass over, once

    def __len__(self) -> int:
        return self.count

    def blocks(self, size: int) -> Iterator[npt.NDArray[np.int64]]:
        """The numbers of this process in arrays of `size`, of which the last may be shorter."""
        begin, self.first = self.first, 0
        bits = np.random.PCG64([self.seed, self.epoch])
        generator, ranks = np.random.Generator(bits), self.num_replicas
        held = self.length <= _HELD
        if held:
            order = generator.permutation(self.length)
        else:
            bits.advance(begin * ranks)  # a draw for each patch that is passed over
        ahead = max(_AHEAD // size, 1) * size
        for first in range(begin, self.count, ahead):
            last = min(first + ahead, self.count)
            if held:
                block = order[first * ranks : last * ranks]
            else:
                block = (generator.random((last - first) * ranks) * self.length).astype(np.int64)
            numbers = block[self.rank :: ranks]
            yield from (numbers[at : at + size] for at in range(0, len(numbers), size))

    def __iter__(self) -> Iterator[int]:
        for block in self.blocks(_AHEAD):
            yield from block.tolist()


class NumberedEpochs(EpochShuffle):
    """`EpochShuffle` whose numbers tell the epoch too, `epoch * length + i`: worker processes need not be told."""

    def blocks(self, size: int) -> Iterator[npt.NDArray[np.int64]]:
        """See `EpochShuffle`."""
        return (self.epoch * self.length + block for block in super().blocks(size))


class Share(DistributedSampler[int]):
    """Every n-th sample in order, none twice and none left out: shares may differ by one in length.

    The usual `DistributedSampler` repeats samples until all shares are alike, and metrics count them twice.

    >>> [list(Share(5, rank, ranks=2)) for rank in (0, 1)]
    [[0, 2, 4], [1, 3]]
    """

    def __init__(self, length: int, rank: int = 0, ranks: int = 1) -> None:
        super().__init__(range(length), num_replicas=ranks, rank=rank, shuffle=False)  # type: ignore[arg-type]
        self.mine = range(rank, length, ranks)

    def __len__(self) -> int:
        return len(self.mine)

    def blocks(self, size: int) -> Iterator[npt.NDArray[np.int64]]:
        """The numbers of this process in arrays of `size`, of which the last may be shorter."""
        for first in range(0, len(self.mine), size):
            block = self.mine[first : first + size]
            yield np.arange(block.start, block.stop, block.step)

    def __iter__(self) -> Iterator[int]:
        return iter(self.mine)


class BatchLoader(DataLoader[Any]):
    """Batches that the dataset cuts whole, from an array of numbers each.

    Without workers nothing stands between order and dataset, where a `DataLoader` would hand every number on as a
    Python object of its own; Lightning finds in it what it finds in any other.

    Args:
        dataset: Cuts a whole batch at once (`__getitems__`).
        batch_size: Patches.
        order: Which come when, and the share of this process.
        num_workers: Processes that cut beside this one.
    """

    def __init__(
        self, dataset: Dataset[Any], batch_size: int, order: EpochShuffle | Share, num_workers: int = 0
    ) -> None:
        super().__init__(
            dataset,
            batch_size=batch_size,
            sampler=order,
            collate_fn=already_a_batch,
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
        )
        self.order = order

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        assert self.batch_size is not None
        if self.num_workers:
            yield from super().__iter__()
        elif len(self.order):
            size = self.batch_size
            for numbers in self.order.blocks(size * self._together()):
                batches = self._cut(numbers)
                for first in range(0, len(numbers), size):
                    yield {key: value[first : first + size] for key, value in batches.items()}

    def _cut(self, numbers: npt.NDArray[np.int64]) -> dict[str, Tensor]:
        return self.dataset.__getitems__(numbers)  # type: ignore[attr-defined]

    def _together(self) -> int:
        """Small batches that are cut at a time, so that they share what a call costs."""
        assert self.batch_size is not None
        one = sum(value.nbytes for value in self._cut(np.zeros(1, dtype=np.int64)).values())
        return max(_TOGETHER // (one * self.batch_size), 1)


class ResumableLoader(BatchLoader):
    """Training batches that go on where a checkpoint within an epoch left off.

    Lightning keeps `state_dict` in its checkpoints and counts the batches of the epoch; the loader passes over them.

    Args:
        dataset: See `BatchLoader`.
        batch_size: Patches.
        shuffle: The order of an epoch, and the share of this process.
        num_workers: See `BatchLoader`.
    """

    def __init__(self, dataset: Dataset[Any], batch_size: int, shuffle: EpochShuffle, num_workers: int = 0) -> None:
        super().__init__(dataset, batch_size, shuffle, num_workers)
        self.shuffle = shuffle
        self._place = {"epoch": 0, "batches": 0}  # how far it came
        self._resumed = {"epoch": -1, "batches": 0}

    def state_dict(self) -> dict[str, int]:
        """The epoch and how many of its batches were given."""
        return self._place

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Pass over the batches that were given, if that epoch comes again."""
        self._resumed = state

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        assert self.batch_size is not None
        epoch, resumed = self.shuffle.epoch, self._resumed
        begin = resumed["batches"] if resumed["epoch"] == epoch else 0
        self.shuffle.first = begin * self.batch_size
        for number, batch in enumerate(super().__iter__(), begin + 1):
            self._place = {"epoch": epoch, "batches": number}
            yield batch
        self._resumed = {"epoch": -1, "batches": 0}
