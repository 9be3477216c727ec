"""Kill a run and a sweep at random moments, again and again, and see that nothing is lost: prints the count.

    python experiments/kills/kill.py [run] [sweep] [--kills 20] [--signal KILL|TERM] [--seed 0]

An uninterrupted run and sweep come first. Then the same commands are killed at moments drawn evenly over their length,
imports left out, and started again, until each was killed so many times and has finished. After every kill each file
that is there must be whole; at the end weights and metrics must be those of the uninterrupted one, to the bit.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml

TINY = [
    "data.normal=24", "data.pneumonia=20", "data.size=96", "image_size=64", "patch=8", "stride=2", "net.width=4",
    "batch_size=16", "corruption=coarse_noise", "trainer=cpu", "callbacks=minimal", "name=killed",
]  # fmt: skip
COMMANDS = {
    "run": [*TINY, "trainer.max_epochs=8", "hydra.run.dir={folder}"],
    "sweep": [*TINY, "trainer.max_epochs=4", "--multirun", "seed=0,1", "hydra.sweep.dir={folder}"],
}


def start(name: str, folder: Path) -> subprocess.Popen[bytes]:
    """Start a command."""
    arguments = [one.format(folder=folder) for one in COMMANDS[name]]
    code = "from pneumo_ad.cli import main; main()"
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with (folder.parent / f"{folder.name}.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-c", code, "train", *arguments], env=environment, stdout=log, stderr=log
        )


def broken(folder: Path) -> list[str]:
    """Files that are not whole; those still named `.partial` do not count, nobody reads them."""
    read = {
        ".json": lambda file: json.loads(file.read_text()),
        ".yaml": lambda file: yaml.safe_load(file.read_text()) or (_ for _ in ()).throw(ValueError("empty")),
        ".ckpt": lambda file: torch.load(file, map_location="cpu", weights_only=True)["state_dict"],
        ".csv": lambda file: pd.read_csv(file),
        ".npy": lambda file: np.load(file, allow_pickle=False),
        ".npz": lambda file: dict(np.load(file, allow_pickle=False)),
    }
    found = []
    for file in sorted(folder.rglob("*")):
        if file.suffix in read and file.name not in ("multirun.yaml", "hparams.yaml"):
            try:
                read[file.suffix](file)
            except Exception as reason:
                found.append(f"{file.relative_to(folder)}: {reason}")
    return found


def outcome(folder: Path) -> dict[str, str]:
    """Digests of the weights and the metrics of every run in a folder."""
    digests = {}
    for file in sorted(folder.rglob("*.ckpt")):
        weights = torch.load(file, map_location="cpu", weights_only=True)["state_dict"]
        digest = hashlib.sha256()
        for key in sorted(weights):
            digest.update(weights[key].contiguous().numpy().tobytes())
        digests[str(file.relative_to(folder))] = digest.hexdigest()
    for file in sorted([*folder.rglob("metrics.json"), *folder.rglob("shortcuts.json")]):
        digests[str(file.relative_to(folder))] = hashlib.sha256(file.read_bytes()).hexdigest()
    return digests


def doing(folder: Path) -> str:
    """What a killed command was at."""
    if not list(folder.rglob("run.json")):
        return "starting"
    runs = [json.loads(file.read_text()) for file in folder.rglob("run.json")]
    if any(run.get("status") == "running" and "epochs" in run for run in runs):
        return "evaluating"
    return "training" if list(folder.rglob("last.ckpt")) else "first epoch"


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("what", nargs="*", help="run, sweep; default: both")
    options.add_argument("--kills", type=int, default=20)
    options.add_argument("--signal", choices=("KILL", "TERM"), default="KILL")
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    number = getattr(signal, f"SIG{given.signal}")
    rng = random.Random(given.seed)
    bad = 0
    with tempfile.TemporaryDirectory() as there:
        os.environ.setdefault("PNEUMO_AD_CACHE", f"{there}/cache")
        for name in given.what or COMMANDS:
            whole, killed = Path(there) / f"{name}-whole", Path(there) / f"{name}-killed"
            assert start(name, whole).wait() == 0, (Path(there) / f"{whole.name}.log").read_text()
            imports = time.perf_counter()
            assert start(name, whole).wait() == 0  # finished already: what a start costs
            began = time.perf_counter()
            assert start(name, Path(there) / f"{name}-again").wait() == 0  # the store is built: what the work costs
            length = time.perf_counter() - began
            least = min(4 * (began - imports), length / 2)
            kills: Counter[str] = Counter()
            statuses: Counter[int] = Counter()
            halves: list[str] = []
            same, rounds = True, 0
            while True:
                child = start(name, killed)
                try:
                    status = child.wait(timeout=rng.uniform(least, length) if kills.total() < given.kills else None)
                    if status == 0 and kills.total() >= given.kills:
                        break
                    if status != 0:
                        sys.exit(f"the {name} ended by itself with {status}: {killed.parent / killed.name}.log")
                    same &= outcome(killed) == outcome(whole)  # finished too soon: begin anew, the count goes on
                    rounds += 1
                    killed = killed.with_name(f"{name}-killed-{rounds}")
                except subprocess.TimeoutExpired:
                    child.send_signal(number)
                    statuses[child.wait()] += 1
                    kills[doing(killed)] += 1
                    halves += broken(killed)
            same &= outcome(killed) == outcome(whole)
            bad += not same or bool(halves)
            print(
                f"{name}: {kills.total()} times SIG{given.signal} ({dict(kills)}), exit statuses {dict(statuses)}; "
                f"half-written files: {halves or 0}; weights and metrics equal to the uninterrupted {name}: {same}"
            )
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
