"""Samplers and loaders: orders that depend on (seed, epoch) alone, shares of several processes, exact resumption."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from pneumo_ad.data.datasets import already_a_batch
from pneumo_ad.errors import ConfigError

_HELD = 2**24  # patches up to which a permutation is kept in memory: 128 MiB
_AHEAD = 2**16  # numbers of an order that are computed at a time
_TOGETHER = 2**19  # bytes that are cut at a time: more are no faster and exceed the processor's cache


class EpochShuffle(DistributedSampler[int]):
    """Sampler with a new order each epoch that depends on (seed, epoch) alone, so that a resumed run repeats it.

    Each of n processes takes every n-th patch of the same order: their n batches of B / n patches together are one
    process's batch of B. A remainder that n does not divide is left out of the epoch. The base class
    `DistributedSampler` keeps Lightning from replacing the sampler.

    Up to 2**24 patches, an epoch is a permutation, or the beginning of one. A longer permutation would take gigabytes:
    its patches are drawn with replacement, so that memory does not grow with their number. Some then come twice in an
    epoch and others not at all (37 % of them, if `per_epoch` is not set).

    Args:
        length: Number of samples.
        seed: Seed of the orders.
        per_epoch: Samples drawn each epoch, over all processes; None draws `length`.
        rank: Rank of this process.
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
        self.num_samples = min(length, per_epoch or length) // ranks
        self.first = 0  # samples of this rank to skip in the next epoch

    def blocks(self, size: int) -> Iterator[npt.NDArray[np.int64]]:
        """Yield the numbers of this process in arrays of `size`, of which the last may be shorter."""
        begin, self.first = self.first, 0
        bits = np.random.PCG64([self.seed, self.epoch])
        generator, ranks = np.random.Generator(bits), self.num_replicas
        held = self.length <= _HELD
        if held:
            order = generator.permutation(self.length)
        else:
            bits.advance(begin * ranks)  # a draw for each skipped patch
        ahead = max(_AHEAD // size, 1) * size
        for first in range(begin, self.num_samples, ahead):
            last = min(first + ahead, self.num_samples)
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
    """`EpochShuffle` whose numbers contain the epoch, `epoch * length + i`, which worker processes thus know."""

    def blocks(self, size: int) -> Iterator[npt.NDArray[np.int64]]:
        """See `EpochShuffle`."""
        return (self.epoch * self.length + block for block in super().blocks(size))


class Share(DistributedSampler[int]):
    """Sampler of every n-th sample in order, none twice and none left out: shares may differ by one in length.

    A plain `DistributedSampler` repeats samples until all shares are equally long, and metrics count them twice.

    >>> [list(Share(5, rank, ranks=2)) for rank in (0, 1)]
    [[0, 2, 4], [1, 3]]
    """

    def __init__(self, length: int, rank: int = 0, ranks: int = 1) -> None:
        super().__init__(range(length), num_replicas=ranks, rank=rank, shuffle=False)  # type: ignore[arg-type]
        self.mine = range(rank, length, ranks)
        self.num_samples = len(self.mine)

    def blocks(self, size: int) -> Iterator[npt.NDArray[np.int64]]:
        """Yield the numbers of this process in arrays of `size`, of which the last may be shorter."""
        for first in range(0, len(self.mine), size):
            block = self.mine[first : first + size]
            yield np.arange(block.start, block.stop, block.step)

    def __iter__(self) -> Iterator[int]:
        return iter(self.mine)


class BatchLoader(DataLoader[Any]):
    """Data loader that has the dataset cut each batch at once, from an array of numbers.

    Without workers it passes arrays from the order to the dataset, where a `DataLoader` passes each number as a Python
    object. To Lightning it is an ordinary `DataLoader`.

    Args:
        dataset: Dataset that cuts a whole batch at once (`__getitems__`).
        batch_size: Samples in a batch of this process.
        order: Order of the samples, and the share of this process.
        num_workers: Worker processes; 0 cuts in this process.
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
        self.size = batch_size  # `batch_size` of a `DataLoader` may be None

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        if self.num_workers:
            yield from super().__iter__()
        elif len(self.order):
            for numbers in self.order.blocks(self.size * self._together()):
                batches = self._cut(numbers)
                for first in range(0, len(numbers), self.size):
                    yield {key: value[first : first + self.size] for key, value in batches.items()}

    def _cut(self, numbers: npt.NDArray[np.int64]) -> dict[str, Tensor]:
        return self.dataset.__getitems__(numbers)  # type: ignore[attr-defined]

    def _together(self) -> int:
        """Number of batches that are cut at a time: small batches share the cost of a call."""
        sample_bytes = sum(value.nbytes for value in self._cut(np.zeros(1, dtype=np.int64)).values())
        return max(_TOGETHER // (sample_bytes * self.size), 1)


class ResumableLoader(BatchLoader):
    """Loader of training batches that resumes within an epoch, after the last batch before a checkpoint.

    Lightning keeps `state_dict` in its checkpoints and counts the batches of the epoch; the loader skips them.

    Args:
        dataset: See `BatchLoader`.
        batch_size: See `BatchLoader`.
        shuffle: Order of an epoch, and the share of this process.
        num_workers: See `BatchLoader`.
    """

    def __init__(self, dataset: Dataset[Any], batch_size: int, shuffle: EpochShuffle, num_workers: int = 0) -> None:
        super().__init__(dataset, batch_size, shuffle, num_workers)
        self.shuffle = shuffle
        self._place = {"epoch": 0, "batches": 0}  # batches yielded so far
        self._resumed = {"epoch": -1, "batches": 0}

    def state_dict(self) -> dict[str, int]:
        """Return the epoch and the number of its batches that were yielded."""
        return self._place

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Skip the batches that were yielded, if the next epoch is that of the state."""
        self._resumed = state

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        epoch, resumed = self.shuffle.epoch, self._resumed
        begin = resumed["batches"] if resumed["epoch"] == epoch else 0
        self.shuffle.first = begin * self.size
        for number, batch in enumerate(super().__iter__(), begin + 1):
            self._place = {"epoch": epoch, "batches": number}
            yield batch
        self._resumed = {"epoch": -1, "batches": 0}
