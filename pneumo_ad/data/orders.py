"""Random orders of any length: a permutation that is held, or, where that takes gigabytes, one that is computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

Order = Callable[[npt.NDArray[np.int64]], npt.NDArray[np.int64]]

HELD = 2**24  # numbers up to which a permutation is held: 128 MiB
_ROUNDS = 6


def random_order(length: int, key: Sequence[int]) -> Order:
    """A function that tells which number comes at which place of a random order of `range(length)`.

    Args:
        length: Length of the order; up to 2**24 a permutation is held in memory, longer orders are a `FeistelOrder`.
        key: Fixes the order, for example seed and epoch.

    Returns:
        (M,) places -> (M,) numbers, a bijection of `range(length)`.

    >>> order = random_order(5, (0, 1))
    >>> sorted(order(np.arange(5)).tolist())
    [0, 1, 2, 3, 4]
    """
    if length > HELD:
        return FeistelOrder(length, key)
    permutation = np.random.default_rng(list(key)).permutation(length)
    return lambda places: permutation[places]


class FeistelOrder:
    """A pseudo-random bijection of `range(length)` that is evaluated where it is asked for and holds nothing.

    A Feistel network (Luby and Rackoff, SIAM Journal on Computing 1988) permutes the numbers of as many bits as
    `length - 1` has; a number beyond `length` goes round again until it falls within (cycle walking: Black and Rogaway,
    CT-RSA 2002), less than once on average. Its rounds mix with the finaliser of SplitMix64 (Steele, Lea and Flood,
    OOPSLA 2014). Good enough to shuffle, not to keep a secret.

    Args:
        length: Length of the order, at least 2.
        key: Fixes the order.

    >>> order = FeistelOrder(377_110 * 121**2, key=(0, 1))
    >>> order(np.array([0, 1, 2])).tolist()
    [929192562, 1282185846, 3834221950]
    """

    def __init__(self, length: int, key: Sequence[int]) -> None:
        self.length = length
        bits = max((length - 1).bit_length(), 2)
        # Of unequal halves each round swaps the sizes; an even number of rounds gives them back.
        self._low, self._high = bits // 2, bits - bits // 2
        self._keys = np.random.SeedSequence(list(key)).generate_state(_ROUNDS, np.uint64)

    def __call__(self, places: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """(M,) places in [0, length) -> (M,) numbers."""
        found = self._permute(places.astype(np.uint64))
        beyond = np.flatnonzero(found >= self.length)
        while len(beyond):
            again = self._permute(found[beyond])
            found[beyond] = again
            beyond = beyond[again >= self.length]
        return found.astype(np.int64)

    def _permute(self, numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        """Of all numbers of so many bits."""
        low, high = self._low, self._high
        left, right = numbers >> np.uint64(low), numbers & np.uint64(2**low - 1)  # of high and low bits
        for key in self._keys:
            left, right = right, left ^ (_mix(right + key) & np.uint64(2**high - 1))
            low, high = high, low
        return (left << np.uint64(low)) | right


def _mix(numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Every bit in depends on every bit out; arithmetic modulo 2**64."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))
