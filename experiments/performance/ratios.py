"""How close scoring and training come to the bare net: ratios measured side by side in one process.

    python experiments/performance/ratios.py [--width 32] [--device cuda]

Prints medians of alternating repeats with their spread. On the CPU absolute times say little (machines are shared);
ratios hold.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import time
import tracemalloc
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch.utils.data import DataLoader

from pneumo_ad.data.datasets import ExhaustivePatches, PatchDataset, already_a_batch
from pneumo_ad.data.sampling import EpochShuffle
from pneumo_ad.losses import DiceLoss
from pneumo_ad.module import PatchAutoencoder, to_unit
from pneumo_ad.nets import UNetAutoencoder
from pneumo_ad.patches import PatchGrid, PatchIndex
from pneumo_ad.scores import SAD, Brightness, Contrast, Sharpness
from pneumo_ad.scoring import MapOf, score_radiographs


def alternate(repeats: int, device: torch.device, **actions: Callable[[], object]) -> dict[str, list[float]]:
    """Seconds of each action, taken in turn, after one warm-up each."""
    times: dict[str, list[float]] = {name: [] for name in actions}
    for repeat in range(repeats + 1):
        for name, action in actions.items():
            if device.type == "cuda":
                torch.cuda.synchronize()
            started = time.perf_counter()
            action()
            if device.type == "cuda":
                torch.cuda.synchronize()
            if repeat:
                times[name].append(time.perf_counter() - started)
    return times


def ratio(times: dict[str, list[float]], part: str, whole: str) -> str:
    """Median and range of part / whole, repeat by repeat."""
    ratios = [a / b for a, b in zip(times[part], times[whole], strict=True)]
    return f"{statistics.median(ratios):6.1%}  (from {min(ratios):.1%} to {max(ratios):.1%})"


def scoring(net: torch.nn.Module, device: torch.device, repeats: int) -> None:
    """Windows scored by `score_radiographs` against the same net's forward pass on prepared batches."""
    scores = {"score": SAD(), "brightness": Brightness(), "contrast": Contrast(), "sharpness": Sharpness()}
    # About a thousand windows of each stride on the CPU: what a window costs does not depend on the image's size.
    for stride, side, n in ((20, 256, 8), (8, 256, 1), (4, 160, 1), (1, 64, 1)):
        grid = PatchGrid((side, side), 32, stride)
        size = 64 if device.type == "cpu" else 8192
        images = np.random.default_rng(0).integers(0, 256, (n if size == 64 else 512, side, side), dtype=np.uint8)
        rows = np.arange(len(images))
        prepared = ExhaustivePatches(images, rows, grid)
        batches = [
            (prepared.__getitems__(range(first, min(first + size, len(prepared))))["patch"].float() / 255)
            .to(device)
            .contiguous(memory_format=torch.channels_last)
            for first in range(0, len(prepared), size)
        ]

        @torch.inference_mode()
        def bare(batches: list[torch.Tensor] = batches) -> None:
            for batch in batches:
                net(batch)

        def scored(names: Sequence[str], map_of: MapOf | None = None) -> Callable[[], object]:
            some = {name: scores[name] for name in names}
            return lambda: list(score_radiographs(net, some, images, rows, grid, size, map_of))  # noqa: B023 - called in this turn

        ways = {
            "SAD": scored(["score"]),
            "SAD and its maps": scored(["score"], "score"),
            "four scores and their maps": scored(list(scores), "score"),
            "four scores and maps of residuals": scored(list(scores), "residual"),
        }
        times = alternate(repeats, device, bare=bare, **ways)
        print(f"stride {stride}, {len(prepared):,} windows, share of the bare forward rate")
        for name in ways:
            print(f"  {name:34} {ratio(times, 'bare', name)}")
        if device.type == "cuda":
            rate = len(prepared) / statistics.median(times["SAD"])
            print(f"  {rate:,.0f} patches/s scored, {len(prepared) / statistics.median(times['bare']):,.0f} bare")


def training(net: torch.nn.Module, device: torch.device, repeats: int) -> None:
    """Share of a training step that waits for its batch."""
    grid = PatchGrid((256, 256), 32, 4)
    images = np.random.default_rng(0).integers(0, 256, (64, 256, 256), dtype=np.uint8)
    dataset = ExhaustivePatches(images, np.arange(64), grid)
    module = PatchAutoencoder(net, DiceLoss(), functools.partial(torch.optim.Adam, lr=1e-3)).to(device)
    optimizer = module.configure_optimizers()
    for size, steps in ((64, 20), (512, 4)):
        loader = DataLoader(
            dataset, batch_size=size, sampler=EpochShuffle(len(dataset), 0, size * steps), collate_fn=already_a_batch
        )
        kept = list(loader)

        def step(patches: torch.Tensor) -> None:
            x = to_unit(patches.to(device))
            optimizer.zero_grad()
            module.loss(x, module(x)).backward()
            optimizer.step()

        def prepared(kept: list = kept) -> None:
            for batch in kept:
                step(batch["patch"])

        def loaded(loader: DataLoader = loader) -> None:
            for batch in loader:
                step(batch["patch"])

        def fetched(loader: DataLoader = loader) -> None:
            for _ in loader:
                pass

        times = alternate(repeats, device, prepared=prepared, loaded=loaded, fetched=fetched)
        print(f"training, batch {size}: data takes of a step          {ratio(times, 'fetched', 'loaded')}")
        if device.type == "cuda":
            print(f"  {size * steps / statistics.median(times['loaded']):,.0f} patches/s")


def opening() -> None:
    """Memory that every window of 500 radiographs at stride 1 takes to open, against the patches themselves."""
    images = np.zeros((1, 256, 256), dtype=np.uint8)
    held = np.broadcast_to(images, (500, 256, 256))
    grid = PatchGrid((256, 256), 32, 1)
    tracemalloc.start()
    started = time.perf_counter()
    dataset = PatchDataset(held, np.arange(500), PatchIndex.every(grid, 500))
    batch = dataset.__getitems__(np.random.default_rng(0).integers(0, len(dataset), 512))
    seconds = time.perf_counter() - started
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert batch["patch"].shape == (512, 1, 32, 32)
    materialised = len(dataset) * 32 * 32
    print(
        f"stride 1 on 500 radiographs: {len(dataset):,} windows opened in {seconds:.2f} s with {peak / 2**20:.0f} MiB; "
        f"the patches themselves would take {materialised / 2**30:.0f} GiB ({peak / materialised:.4%})"
    )


def main() -> None:
    """Print every ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=32, help="channels of the U-net's first level")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    print(f"{name}; torch {torch.__version__}; U-net of width {arguments.width}, depth 2; 256 x 256, patch 32")
    torch.manual_seed(0)
    net = UNetAutoencoder(arguments.width).to(device, memory_format=torch.channels_last).eval()
    scoring(net, device, arguments.repeats)
    training(net.train(), device, arguments.repeats)
    opening()


if __name__ == "__main__":
    main()
