"""How fast this machine prepares, opens, trains and scores: what cost.py computes with.

    python experiments/scale/rates.py [--device cuda] [--output experiments/scale/rates_cpu.json]

Radiographs are drawn, of the size and weight of MIMIC-CXR-JPG's: 2544 x 3056 pixels, some 1.7 MB. Rates are of the
whole machine: decoding takes all its cores, nets what torch takes (`OMP_NUM_THREADS`), or CUDA.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from pneumo_ad.data import Radiographs, open_store, sources
from pneumo_ad.data.batch import to_unit
from pneumo_ad.data.datasets import NormalLungPatches
from pneumo_ad.data.phantom import draw_phantom
from pneumo_ad.inference import score_densely, score_radiographs
from pneumo_ad.inference.receptive_field import receptive_field
from pneumo_ad.losses import DiceLoss
from pneumo_ad.lungs import SegmenterFields
from pneumo_ad.modules.autoencoder import PatchAutoencoder
from pneumo_ad.nets import UNetAutoencoder
from pneumo_ad.patches import PatchGrid
from pneumo_ad.scores import SAD

SIDE, PATCH, STRIDE, WIDTH, BATCH = 512, 32, 4, 32, 64
FILE = (2544, 3056)  # width, height
DIFFERENT, FILES, NAMES = 4, 24, 5_000


def seconds(action: Callable[[], object], device: torch.device, repeats: int = 3) -> float:
    """Median over repeats, after a warm-up."""
    times = []
    for repeat in range(repeats + 1):
        started = time.perf_counter()
        action()
        if device.type == "cuda":
            torch.cuda.synchronize()
        if repeat:
            times.append(time.perf_counter() - started)
    return statistics.median(times)


def write_files(folder: Path) -> float:
    """Radiographs as a hospital has them, the same few under many names; megabytes of one."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(DIFFERENT):
        small = Image.fromarray(draw_phantom(number, pneumonia=False, size=764).image)
        large = np.asarray(small.resize(FILE, Image.Resampling.BICUBIC), dtype=np.float32)
        noisy = np.clip(large + rng.normal(0, 4.2, large.shape), 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / f"{number}.jpg", quality=90)
    for number in range(DIFFERENT, FILES):
        os.link(folder / f"{number % DIFFERENT}.jpg", folder / f"{number}.jpg")
    return statistics.mean((folder / f"{number}.jpg").stat().st_size for number in range(DIFFERENT)) / 1e6


def preparing(folder: Path) -> dict[str, float]:
    """Radiographs per second, decoded and fitted, and their lungs found; normal-lung windows and what they take."""
    megabytes = write_files(folder / "large")
    table = sources.folder(folder / "large")
    started = time.perf_counter()
    store = open_store(table, (SIDE, SIDE))
    stored = time.perf_counter()
    SegmenterFields()(store)
    segmented = time.perf_counter()
    data = Radiographs(table, SIDE, patch=PATCH, stride=STRIDE, lungs=SegmenterFields())
    _ = data.images
    begun = time.perf_counter()
    data.rows_without_lung()
    looked = time.perf_counter()
    rows = np.tile(data.rows("train"), 8)
    patches = NormalLungPatches(data.images, data.lung_fields, rows, data.grid)
    indexed = time.perf_counter()
    return {
        "megabytes_per_file": megabytes,
        "decoded_per_second": FILES / (stored - started),
        "segmented_per_second": FILES / (segmented - stored),
        "looked_through_per_second": FILES / (looked - begun),
        "indexed_per_second": len(patches.rows) / (indexed - looked),
        "normal_lung_windows": len(patches) / len(patches.rows),
    }


def opening(folder: Path) -> dict[str, float]:
    """Rows per second: a folder becomes a table, and its store opens."""
    (folder / "many").mkdir()
    Image.fromarray(draw_phantom(0, pneumonia=False, size=64).image).save(folder / "many" / "0.png")
    for number in range(1, NAMES):
        os.link(folder / "many" / "0.png", folder / "many" / f"{number}.png")
    started = time.perf_counter()
    table = sources.folder(folder / "many")
    listed = time.perf_counter()
    open_store(table, (8, 8))
    built = time.perf_counter()
    open_store(table, (8, 8))
    return {"listed_per_second": NAMES / (listed - started), "opened_per_second": NAMES / (time.perf_counter() - built)}


def nets(device: torch.device) -> dict[str, float]:
    """Patches per second in training and scoring, and radiographs per second as a whole (fully convolutional)."""
    net = UNetAutoencoder(WIDTH).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    module = PatchAutoencoder(net, DiceLoss(), functools.partial(torch.optim.Adam, lr=1e-3)).to(device)
    optimizer = module.configure_optimizers()
    patches = torch.randint(0, 256, (BATCH, 1, PATCH, PATCH), dtype=torch.uint8)
    steps = 20 if device.type == "cpu" else 200

    def train() -> None:
        for _ in range(steps):
            x = to_unit(patches.to(device))
            optimizer.zero_grad()
            module.loss(x, module(x)).backward()
            optimizer.step()

    count = 1 if device.type == "cpu" else 32
    grid = PatchGrid((SIDE, SIDE), PATCH, 16 if device.type == "cpu" else STRIDE)
    images = np.random.default_rng(0).integers(0, 256, (count, SIDE, SIDE), dtype=np.uint8)
    rates = {"trained_per_second": steps * BATCH / seconds(train, device)}
    net.eval()

    def score() -> None:
        list(score_radiographs(net, {"score": SAD()}, images, np.arange(count), grid, 64 if count == 1 else 8192))

    halo, fine = receptive_field(net, PATCH).halo(PATCH), PatchGrid((SIDE, SIDE), PATCH, STRIDE)

    def dense() -> None:
        list(score_densely(net, {"score": SAD()}, images, np.arange(count), fine, map_of="score", halo=halo))

    rates["windows_per_second"] = count * len(grid) / seconds(score, device)
    return rates | {"dense_per_second": count / seconds(dense, device)}


def main() -> None:
    """Measure, print and, if asked, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads for nets"
    commit = subprocess.run(["git", "describe", "--always", "--dirty=+"], capture_output=True, text=True).stdout.strip()
    found: dict[str, object] = {"machine": f"{name}, {os.cpu_count()} cores", "commit": commit}
    with tempfile.TemporaryDirectory(prefix="rates-") as place:
        os.environ["PNEUMO_AD_CACHE"] = f"{place}/cache"
        found |= preparing(Path(place)) | opening(Path(place)) | nets(device)
    told = json.dumps(found, indent=2)
    print(told)
    if arguments.output:
        arguments.output.write_text(told + "\n")


if __name__ == "__main__":
    main()
