"""Batches for training: our loader against a per-item DataLoader and against direct indexing of the radiographs.

    python experiments/performance/batches.py [--batch 64 512]

The same windows in the same order each way, repeat by repeat in turn; medians with their spread.
"""

from __future__ import annotations

import argparse
import tracemalloc
from collections.abc import Callable, Iterable

import numpy as np
import torch
from ratios import Row, Setting, alternate, quotients, ratio
from torch.utils.data import DataLoader, Dataset

from pneumo_ad.data.datasets import ExhaustivePatches, PatchBatch, PatchDataset
from pneumo_ad.data.samplers import EpochShuffle, ResumableLoader
from pneumo_ad.patches import PatchGrid


class OneByOne(Dataset[PatchBatch]):
    """A dataset as one would write it: a list of places, and a slice of an image for each, which a loader collates.

    `PatchDataset` itself answers `dataset[i]` several times more slowly, as it cuts a batch of one.
    """

    def __init__(self, dataset: PatchDataset) -> None:
        self.images, self.side = dataset.images, dataset.grid.patch
        self.where = dataset.index.locate(np.arange(len(dataset)))

    def __len__(self) -> int:
        return len(self.where)

    def __getitem__(self, number: int) -> PatchBatch:
        image, top, left = self.where[number]
        patch = self.images[image, top : top + self.side, left : left + self.side][None]
        return {"patch": torch.from_numpy(patch), "where": torch.from_numpy(self.where[number])}


def bank(images: int = 200, side: int = 256, patch: int = 32, stride: int = 8) -> PatchDataset:
    """Every window of some radiographs of noise."""
    pixels = np.random.default_rng(0).integers(0, 256, (images, side, side), dtype=np.uint8)
    return ExhaustivePatches(pixels, np.arange(images), PatchGrid((side, side), patch, stride))


def ours(dataset: PatchDataset, size: int, steps: int) -> Iterable[PatchBatch]:
    """The loader that training uses."""
    return ResumableLoader(dataset, size, EpochShuffle(len(dataset), 0, size * steps))


def per_item(dataset: PatchDataset, size: int, steps: int) -> Iterable[PatchBatch]:
    """`DataLoader` with its default collate function over single samples."""
    return DataLoader(OneByOne(dataset), size, sampler=EpochShuffle(len(dataset), 0, size * steps))


def direct(dataset: PatchDataset, size: int, steps: int) -> Iterable[PatchBatch]:
    """Indexing of a view of all windows at places that are known beforehand: no order, no index, no loader."""
    side = dataset.grid.patch
    windows = np.lib.stride_tricks.sliding_window_view(dataset.images, (side, side), axis=(1, 2))
    places = [batch["where"].numpy() for batch in ours(dataset, size, steps)]

    class Direct:
        def __iter__(self):
            for where in places:
                patch = windows[where[:, 0], where[:, 1], where[:, 2]][:, None]
                yield {"patch": torch.from_numpy(patch), "where": torch.from_numpy(where)}

    return Direct()


def compare(dataset: PatchDataset, size: int, steps: int, repeats: int) -> dict[str, list[float]]:
    """Seconds that each way takes for the same batches, by name, repeat by repeat.

    Args:
        dataset: Data set that batches are cut from.
        size: Number of patches in a batch.
        steps: Number of batches.
        repeats: Number of times that each way is measured.
    """
    loaders = {way.__name__: way(dataset, size, steps) for way in (ours, per_item, direct)}
    for batches in zip(*loaders.values(), strict=True):
        assert all(torch.equal(batches[0]["patch"], batch["patch"]) for batch in batches[1:])

    def drain(loader: Iterable[PatchBatch]) -> Callable[[], None]:
        def run() -> None:
            for _ in loader:
                pass

        return run

    return alternate(repeats, torch.device("cpu"), **{name: drain(loader) for name, loader in loaders.items()})


def rows(setting: Setting) -> list[Row]:
    """At both ends of the usual batch sizes; an order of all windows is drawn in each repeat, as in training."""
    dataset = bank(8 if setting.quick else 200)
    found = []
    for size in (64, 512):
        times = compare(dataset, size, len(dataset) // size, setting.repeats)
        found += [
            Row(f"per-item DataLoader / ours, batches of {size}", quotients(times, "per_item", "ours"), 4),
            Row(f"direct indexing / ours, batches of {size}", quotients(times, "direct", "ours"), 0.75, "%"),
        ]
    return found


def orders() -> None:
    """Memory that the order of an epoch takes, at most, beside the numbers it is asked for."""
    for name, length in (("2^24 patches", 2**24), ("377,110 radiographs of 512, stride 4", 377_110 * 121**2)):
        tracemalloc.start()
        blocks = EpochShuffle(length, 0).blocks(512)
        for _ in range(200):
            next(blocks)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        print(f"order of {length:,} patches ({name}): {peak / 2**20:.0f} MiB")


def main() -> None:
    """Print every ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, nargs="+", default=[64, 512], help="patches in a batch")
    parser.add_argument("--patches", type=int, help="patches in an epoch; default all, as an order is made of all")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    dataset = bank()
    print(f"{len(dataset):,} windows of 32 x 32; one thread; torch {torch.__version__}, numpy {np.__version__}")
    for size in arguments.batch:
        times = compare(dataset, size, max((arguments.patches or len(dataset)) // size, 1), arguments.repeats)
        print(f"batch {size}: rate of direct indexing that we reach     {ratio(times, 'direct', 'ours')}")
        faster = sorted(a / b for a, b in zip(times["per_item"], times["ours"], strict=True))
        print(
            f"batch {size}: times a per-item DataLoader            {faster[len(faster) // 2]:6.1f}  "
            f"(from {faster[0]:.1f} to {faster[-1]:.1f})"
        )
    orders()


if __name__ == "__main__":
    main()
