"""Many small radiographs: prepared in shards, joined, shuffled and iterated; what it takes and holds.

    python experiments/scale/measure.py [--radiographs 100000] [--folder NEW] [--shards 8]

Draws the files first (half a millisecond each) and deletes them with their stores at the end. Memory is anonymous
memory of this process (`RssAnon`), which must not grow; beside it stand pages of memory-mapped files (`RssFile`), which
the kernel takes back when others need them. Lungs are not looked for (`lungs=none`): the segmenter's rate is measured
by rates.py.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from draw import draw_many
from torch.utils.data import DataLoader

from pneumo_ad.data import Radiographs, sources
from pneumo_ad.data.datasets import ExhaustivePatches, already_a_batch
from pneumo_ad.data.samplers import EpochShuffle, Share
from pneumo_ad.data.sources.paths import list_files
from pneumo_ad.data.sources.table import check_table
from pneumo_ad.data.store.opening import open_store
from pneumo_ad.data.store.store import store_key
from pneumo_ad.lungs import WholeImage

SIZE, PATCH, STRIDE, BATCH = 64, 32, 8, 256


def memory() -> tuple[float, float]:
    """Anonymous and file-backed resident memory in MiB."""
    lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
    held = {words[0]: float(words[1]) / 1024 for words in lines if words[0] in ("RssAnon:", "RssFile:")}
    return held["RssAnon:"], held["RssFile:"]


@contextmanager
def lap(what: str) -> Iterator[None]:
    """Print how long it took and what memory is held after it."""
    started = time.perf_counter()
    yield
    anonymous, mapped = memory()
    took = time.perf_counter() - started
    print(f"{what:<48} {took:8.1f} s   {anonymous:6.0f} MiB anonymous {mapped:6.0f} MiB mapped", flush=True)


def prepare(words: list[str], processes: int) -> float:
    """Seconds that the command takes, in a cache that holds nothing yet."""
    shutil.rmtree(os.environ["PNEUMO_AD_CACHE"], ignore_errors=True)
    shards = words[-1].removeprefix("num_shards=")
    swept = ["-m", f"shard=range(0,{shards})", "hydra/launcher=joblib", f"hydra.launcher.n_jobs={processes}"]
    command = [sys.executable, "-m", "pneumo_ad", "prepare", *words, *(swept if processes > 1 else [])]
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    assert not done.returncode, done.stderr
    return time.perf_counter() - started


def iterate(name: str, dataset: object, order: object) -> None:
    """An epoch of batches, with the memory held at every tenth of it."""
    loader = DataLoader(dataset, BATCH, sampler=order, collate_fn=already_a_batch)  # type: ignore[arg-type, var-annotated]
    before, _ = memory()
    held, mapped, patches, started = [], 0.0, 0, time.perf_counter()
    for number, batch in enumerate(loader):
        patches += len(batch["patch"])
        if number % max(1, len(loader) // 10) == 0:
            anonymous, mapped = memory()
            held.append(anonymous)
    took = time.perf_counter() - started
    print(f"{name}: {patches:,} patches in {took:.1f} s, {len(loader) / took:,.0f} batches of {BATCH} a second;")
    tenths = " ".join(f"{one:.0f}" for one in held)
    print(f"  anonymous MiB {before:.0f} before, at every tenth {tenths}; {mapped:.0f} mapped", flush=True)


def measure(folder: Path, count: int, shards: int) -> None:
    """Everything, in a new folder."""
    started = time.perf_counter()
    csv = draw_many(folder / "files", count, SIZE)
    print(f"{count:,} radiographs of {SIZE} pixels drawn in {time.perf_counter() - started:.0f} s")
    words = ["data=folder", f"data.root={folder / 'files'}", f"data.csv={csv}", f"image_size={SIZE}", "lungs=none"]
    words += [f"num_shards={shards}"]
    for processes in (2, 1):
        took = prepare(words, processes)
        print(f"prepared in {shards} shards, {processes} at a time: {took:.1f} s, {count / took:,.0f} radiographs/s")

    anonymous, mapped = memory()
    print(f"{'begun':<48} {'':10}   {anonymous:6.0f} MiB anonymous {mapped:6.0f} MiB mapped")
    with lap("  the listing of the folder alone"):
        list_files(folder / "files", recursive=True)
    with lap("the table, of folder and csv (data=folder)"):
        table = sources.folder(folder / "files", csv=csv)
    with lap("  check_table alone"):
        check_table(table)
    with lap("  store_key alone (a stat of every file)"):
        store_key(table, (SIZE, SIZE), "squash")
    with lap("  open_store alone"):
        open_store(table, (SIZE, SIZE))
    with lap("opened, lung fields looked through"):
        data = Radiographs(table, SIZE, patch=PATCH, stride=STRIDE, lungs=WholeImage())
        data.rows_without_lung()
    with lap("normal-lung patches of the training split"):
        normal = data.normal_lung_patches("train")
    with lap("every window of every radiograph"):
        every = ExhaustivePatches(data.images, np.arange(len(data.store)), data.grid)
    for frame, name in ((table, "source's"), (data.store.table, "store's")):
        held = frame.memory_usage(deep=True).sum() / 2**20
        print(f"the {name} table: {len(frame):,} rows, {held:.0f} MiB")
    iterate("normal lung, shuffled", normal, EpochShuffle(len(normal), 0))
    iterate("every window, in order", every, Share(len(every)))


def main() -> None:
    """Measure, and delete what was written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--radiographs", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="new; default: one for the time being; needs 10 KiB a radiograph")
    parser.add_argument("--shards", type=int, default=8)
    arguments = parser.parse_args()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="scale-"))
    os.environ["PNEUMO_AD_CACHE"] = str(folder / "cache")
    try:
        os.chdir(folder if folder.is_dir() else folder.parent)
        measure(folder, arguments.radiographs, arguments.shards)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
