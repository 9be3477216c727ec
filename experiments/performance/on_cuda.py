"""Every command on a CUDA device, beside the same on the CPU; then the rates of the device. Under ten minutes.

    python experiments/performance/on_cuda.py                          # says so where there is no CUDA device
    python experiments/performance/on_cuda.py --accelerator cpu --small  # the same, the CPU beside itself

Exit status 1: a command failed, or what CUDA says differs from what the CPU says by more than the rounding of kernels
(`SCORES` of the largest score, `METRICS` of a metric in [0, 1]).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

SCORES, METRICS = 1e-4, 2e-3
SMALL = ["data.normal=24", "data.pneumonia=20", "data.size=96", "image_size=64", "batch_size=16", "per_epoch=64"]
SMALL += ["patch=8", "stride=8", "net.width=4", "trainer.max_epochs=2", "trainer.check_val_every_n_epoch=1"]
RATES = ["--batch=4096", "--steps=50", "--repeats=2", "--radiographs=16"]
SMALL_RATES = ["--batch=16", "--steps=2", "--repeats=1", "--radiographs=1", "--width=4", "--ways=float32"]


class Training(NamedTuple):
    """A training, of which the later commands take the run."""

    arguments: list[str]
    small: list[str] = []  # noqa: RUF012 - arguments besides `SMALL` where it need only run


TRAININGS = {
    "paper": Training(["experiment=demo_paper"]),
    "detector": Training(["experiment=opacity_detector", "trainer.max_epochs=2"], ["module.warm_start=false"]),
    "dense": Training(["halo=12", "scoring=dense", "trainer.max_epochs=2"], ["stride=4"]),
    "bf16": Training(["trainer.precision=bf16-mixed", "trainer.max_epochs=2"]),
    "compile": Training(["compile=true", "trainer.max_epochs=2"]),
    "ddp": Training(["trainer=ddp", "trainer.devices=1", "trainer.max_epochs=2"]),
}
JUDGED = ("paper", "detector", "dense")  # evaluated on both
EXPORTS = {"paper": "onnx", "detector": "torch_export"}


class Machine:
    """Commands on a device, and what was wrong with them.

    Attributes:
        wrong: A line for each command that failed, or result that differs.
    """

    def __init__(self, accelerator: str, small: bool, folder: Path) -> None:
        self.trainer, self.small, self.folder = f"trainer={accelerator}", small, folder
        self.cache = folder / "cache"
        self.wrong: list[str] = []

    def run(self, name: str, *arguments: str, limit: float = 150) -> bool:
        """Run a command; print how long it took, and its last words if it failed."""
        started = time.perf_counter()
        environment = os.environ | {"PNEUMO_AD_CACHE": str(self.cache), "NO_ALBUMENTATIONS_UPDATE": "1"}
        command = [sys.executable, "-c", "from pneumo_ad.cli import main; main()", *arguments]
        log = self.folder / f"{name}.log"
        with log.open("wb") as file:
            try:
                status = subprocess.run(
                    command, cwd=self.folder, env=environment, stdout=file, stderr=file, timeout=limit, check=False
                ).returncode
            except subprocess.TimeoutExpired:
                status = -1
        print(f"{name:<24} {time.perf_counter() - started:6.1f} s", end="", flush=True)
        if status:
            last = " ".join(log.read_text(errors="replace").split()[-60:])
            self.wrong.append(f"{name} ended with {status}: {last}")
            print(f"   ended with {status}")
        return not status

    def train(self, name: str, training: Training) -> None:
        """Train, and print the rates of training and of the evaluation at its end."""
        given = [*training.arguments, *([*SMALL, *training.small] if self.small else [])]
        device = [] if "trainer=ddp" in given else [self.trainer]
        if self.run(f"train {name}", "train", *given, *device, f"hydra.run.dir={name}", "callbacks.progress=null"):
            story = json.loads((self.folder / name / "run.json").read_text())
            images = len(pd.read_csv(self.folder / name / "images.csv"))
            rates = f"{story['steps'] / story['seconds_training']:,.1f} steps/s"
            judged = f"{images / story['seconds_evaluating']:,.1f} radiographs/s evaluated"
            print(f"   {rates} with validation, {judged}; {story['device']}")

    def compare_evaluations(self, name: str) -> None:
        """Evaluate a run on the device and on the CPU; compare every metric and every radiograph's score."""
        folders = [f"evaluated-{name}-{which}" for which in ("device", "cpu")]
        for folder, device in zip(folders, (self.trainer, "trainer=cpu"), strict=True):
            if not self.run(folder, "evaluate", f"run={name}", f"output={folder}", device):
                return
            print()
        here, there = (json.loads((self.folder / folder / "metrics.json").read_text()) for folder in folders)
        if here.keys() != there.keys():
            self.wrong.append(f"evaluate {name}: metrics {sorted(here.keys() ^ there.keys())} on one of them alone")
        differing = {
            key: abs(here[key] - there[key]) for key in here.keys() & there.keys() if _both(here[key], there[key])
        }
        key = max(differing, key=differing.__getitem__)
        self._told(f"evaluate {name}, {key}", differing[key], METRICS)
        self._tables(f"evaluate {name}", *(self.folder / folder / "images.csv" for folder in folders))

    def compare_predictions(self, name: str) -> None:
        """Predict on the device and on the CPU; compare scores and maps."""
        images = next((self.cache / "phantoms").glob("*/images"))
        folders = [f"predicted-{name}-{which}" for which in ("device", "cpu")]
        for folder, device in zip(folders, (self.trainer, "trainer=cpu"), strict=True):
            given = (
                "predict",
                f"run={name}",
                f"input={images}",
                f"output={folder}",
                "maps=npy",
                "overlays=false",
                device,
            )
            if not self.run(folder, *given):
                return
            print()
        self._tables(f"predict {name}", *(self.folder / folder / "predictions.csv" for folder in folders))
        worst = 0.0
        for file in sorted((self.folder / folders[0] / "maps").rglob("*.npy")):
            here, there = (
                np.load(self.folder / folder / file.relative_to(self.folder / folders[0])) for folder in folders
            )
            worst = max(worst, float(np.nanmax(np.abs(here - there)) / np.nanmax(np.abs(there))))
        self._told(f"predict {name}, maps, of their highest", worst, SCORES)

    def _tables(self, name: str, here: Path, there: Path) -> None:
        scores = [pd.read_csv(file)["score"].to_numpy() for file in (here, there)]
        self._told(
            f"{name}, scores, of their highest", float(np.abs(scores[0] - scores[1]).max() / scores[1].max()), SCORES
        )

    def _told(self, name: str, difference: float, most: float) -> None:
        print(f"  {name}: differs by {difference:.1e} at most", flush=True)
        if not difference <= most:
            self.wrong.append(
                f"{name}: {self.trainer} and trainer=cpu differ by {difference:.1e}, more than {most:.0e}"
            )


def _both(*values: object) -> bool:
    return all(isinstance(value, float) and np.isfinite(value) for value in values)


def main() -> None:
    """Run, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accelerator", choices=["gpu", "cpu"], default="gpu")
    parser.add_argument("--small", action="store_true", help="whether it runs; rates mean nothing")
    given = parser.parse_args()
    if given.accelerator == "gpu" and not torch.cuda.is_available():
        print("no CUDA device was found: nothing is measured (--accelerator cpu --small runs the same on the CPU)")
        return
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(given.accelerator, given.small, Path(folder))
        for name, training in TRAININGS.items():
            machine.train(name, training)
        for name in JUDGED:
            machine.compare_evaluations(name)
        machine.compare_predictions("paper")
        for name, kind in EXPORTS.items():  # refuse by themselves what differs from the run
            machine.run(f"export {name} {kind}", "export", f"run={name}", f"format={kind}", machine.trainer)
            print()
    device = "cuda" if given.accelerator == "gpu" else "cpu"
    rates = [str(Path(__file__).with_name("device.py")), "--device", device, *(SMALL_RATES if given.small else RATES)]
    if subprocess.run([sys.executable, *rates], check=False).returncode:
        machine.wrong.append("device.py failed")
    print(f"{time.perf_counter() - began:.0f} s in all", *machine.wrong, sep="\n")
    sys.exit(bool(machine.wrong))


if __name__ == "__main__":
    main()
