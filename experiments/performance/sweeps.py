"""What a sweep costs beside its trainings, and what two processes gain: prints ratios.

    python experiments/performance/sweeps.py [--runs 4] [--epochs 20]

The same sweep twice, each process with one thread: one run after the other, and two at a time (joblib). Of the first,
wall time over the sum of its runs' own training and evaluation; of the second, wall time over that of the first.
Weights and metrics of both must be the same to the bit. The machine should have nothing else to do.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

COMMAND = [
    sys.executable, "-m", "pneumo_ad", "train", "--multirun", "data.normal=120", "data.pneumonia=60", "image_size=128",
    "patch=32", "stride=8", "net.width=16", "trainer=cpu", "per_epoch=1024", "callbacks=minimal",
]  # fmt: skip


def sweep(folder: Path, *more: str) -> float:
    """Seconds that the sweep took."""
    began = time.perf_counter()
    subprocess.run(
        [*COMMAND, *more, f"hydra.sweep.dir={folder}"],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return time.perf_counter() - began


def outcome(folder: Path) -> dict[str, str]:
    """Digests of weights and metrics, by run."""
    found = {}
    for run in sorted(file.parent for file in folder.glob("*/run.json")):
        weights = torch.load(run / "checkpoints" / "last.ckpt", map_location="cpu", weights_only=True)["state_dict"]
        content = b"".join(weights[key].contiguous().numpy().tobytes() for key in sorted(weights))
        found[run.name] = hashlib.sha256(content + (run / "metrics.json").read_bytes()).hexdigest()
    return found


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--runs", type=int, default=4)
    options.add_argument("--epochs", type=int, default=20)
    given = options.parse_args()
    axes = [f"seed={','.join(map(str, range(given.runs)))}", f"trainer.max_epochs={given.epochs}"]
    with tempfile.TemporaryDirectory() as there:
        os.environ.setdefault("PNEUMO_AD_CACHE", f"{there}/cache")
        sweep(Path(there) / "first", "seed=0", "trainer.max_epochs=1")  # the store is built
        serial = sweep(Path(there) / "serial", *axes)
        both = sweep(Path(there) / "joblib", *axes, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
        stories = [json.loads(file.read_text()) for file in (Path(there) / "serial").glob("*/run.json")]
        own = sum(story["seconds_training"] + story["seconds_evaluating"] for story in stories)
        same = outcome(Path(there) / "serial") == outcome(Path(there) / "joblib")
        slowest = max(story["threads"] for story in stories)
    print(f"one after the other: {serial:.0f} s for {given.runs} runs of one process and {slowest} thread")
    print(f"  over the sum of their training and evaluation ({own:.0f} s): {serial / own:.3f}")
    print(f"two at a time: {both:.0f} s, {both / serial:.2f} of the serial sweep; the same to the bit: {same}")
    sys.exit(not same)


if __name__ == "__main__":
    main()
