"""What data costs a training step, and what every window of many radiographs costs to open."""

from __future__ import annotations

import functools
import tracemalloc

import numpy as np
import torch
from ratios import Row, Setting, alternate, quotients
from torch import Tensor
from windows import PATCH, SIDE, a_net, radiographs

from pneumo_ad.data.batch import to_unit
from pneumo_ad.data.datasets import ExhaustivePatches, PatchDataset
from pneumo_ad.data.samplers import EpochShuffle, ResumableLoader
from pneumo_ad.losses import DiceLoss
from pneumo_ad.modules.autoencoder import PatchAutoencoder
from pneumo_ad.patches import PatchGrid, PatchIndex


def rows(setting: Setting) -> list[Row]:
    """The data stall at the ends of the usual batch sizes, and memory of an index."""
    return [stall(setting, 64, 2 if setting.quick else 20), stall(setting, 512, 1 if setting.quick else 4), opening()]


def stall(setting: Setting, size: int, steps: int) -> Row:
    """Share of training steps that it takes to fetch their batches, shuffled over every window at stride 4."""
    dataset = ExhaustivePatches(radiographs(64), np.arange(64), PatchGrid((SIDE, SIDE), PATCH, 4))
    sampler = EpochShuffle(len(dataset), 0, size * steps)
    loader = ResumableLoader(dataset, size, sampler)
    net = a_net(setting).train()
    module = PatchAutoencoder(net, DiceLoss(), functools.partial(torch.optim.Adam, lr=1e-3)).to(setting.device)
    optimizer = module.configure_optimizers()

    def step(patches: Tensor) -> None:
        x = to_unit(patches.to(setting.device))
        optimizer.zero_grad()
        module.loss(x, module(x)).backward()
        optimizer.step()

    def trained() -> None:
        for batch in loader:
            step(batch["patch"])

    def fetched() -> None:
        for _ in loader:
            pass

    times = alternate(setting.repeats, setting.device, trained=trained, fetched=fetched)
    what = f"batches fetched / training steps, batches of {size}"
    return Row(what, quotients(times, "fetched", "trained"), 0.05, "%", at_most=True)


def opening() -> Row:
    """Memory at most that it takes to open every window of 500 radiographs at stride 1 and to cut a batch of 512."""
    held = np.broadcast_to(radiographs(1), (500, SIDE, SIDE))
    tracemalloc.start()
    dataset = PatchDataset(held, np.arange(500), PatchIndex.every(PatchGrid((SIDE, SIDE), PATCH, 1), 500))
    batch = dataset.__getitems__(np.random.default_rng(0).integers(0, len(dataset), 512))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert batch["patch"].shape == (512, 1, PATCH, PATCH)
    patches = len(dataset) * PATCH**2
    note = f"{len(dataset):,} windows, {peak / 2**20:.1f} MiB; patches, {patches / 2**30:.0f} GiB, 512 of them cut"
    return Row(
        "memory of an index / the patches themselves, 500 radiographs, stride 1", (peak / patches,), unit="%", note=note
    )
