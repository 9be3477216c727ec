"""Kill commands, run them side by side, and again; count what is lost, different or left over.

    python experiments/trust/trust.py [kills] [concurrency] [determinism] [--kills 20] [--pairs 3] [--summary] ...

Each command first runs uninterrupted, on drawn radiographs. `kills` ends it by SIGKILL at moments spread evenly over
that time, and runs it again; `concurrency` starts two at once; `determinism` trains again with the same seed. What is
left is compared with what the uninterrupted command left: weights by digest, other files by their bytes. Trials are
lines of `results.jsonl`, not repeated at one commit of the package. Exit status 1: some found something, and are kept.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import torch

PHANTOMS = ["data.normal=24", "data.pneumonia=20", "data.size=96", "image_size=64"]
TRAIN = ["train", *PHANTOMS, "patch=8", "stride=8", "net.width=4", "batch_size=16", "per_epoch=64", "trainer=cpu"]
TRAIN += ["corruption=coarse_noise", "datamodule.val_images=1", "callbacks=minimal"]
TRAIN += ["trainer.max_epochs={epochs}", "callbacks.progress=null", "logger=csv"]
FOUND = ("different", "lost", "leftovers", "half_written", "unclear")


class Command(NamedTuple):
    """Command under test, which runs in a folder of its own."""

    arguments: list[str]  # `{epochs}` and `{images}` are filled in
    starts_from: str = ""  # command whose run is first copied to `run/` of that folder
    progress: str = "-"  # files, by glob, after which the next start must not begin anew
    goes_on: str = "(?!)"  # what the next start then logs; this matches nothing


LAST, ON = "checkpoints/last.ckpt", "going on from|finished already"
SHARDS, FILES = "cache/stores/*.parts/*-of-4/store.json", "out/parts/*.json"
COMMANDS = {
    "train": Command([*TRAIN, "hydra.run.dir=run"], "", f"run/{LAST}", ON),
    "resume": Command(["train", "resume=run"], "begun", f"run/{LAST}", ON),
    "sweep": Command([*TRAIN, "-m", "seed=0,1", "hydra.sweep.dir=sweep"], "", f"sweep/*/{LAST}", ON),
    "prepare": Command(["prepare", *PHANTOMS, "num_shards=4"], "", SHARDS, "was there|nothing to do"),
    "predict": Command(["predict", "run=run", "input={images}", "output=out"], "train", FILES, "going on:|nothing new"),
    "evaluate": Command(["evaluate", "run=run", "subset=val", "output=out"], "train"),
    "export": Command(["export", "run=run", "format=torch_export", "output=out"], "train"),
}
BESIDE = {"clear": ("train", ["store", "clear=all"]), "compare": ("sweep", ["compare", "sweep", "output=new"])}
WORKERS = Command([*COMMANDS["train"].arguments, "datamodule.num_workers=2"])
AGAIN = {"train": COMMANDS["train"], "num_workers=2": WORKERS, "killed, resume=run": COMMANDS["resume"]}
# Not compared: seconds, machines, absolute places, lists that grow line by line, and what `compare` writes.
OTHER = r"\.lock$|\.log$|multirun.yaml|hydra.yaml|predict.json|run.json|written.txt|/csv/|parts/|^new/|comparison/.*csv"


def digests(place: Path) -> dict[str, str]:
    """Digests of the files that must be the same each time, by name; keys hold times, and are masked."""
    found = {}
    for file in sorted(place.rglob("*")):
        name = re.sub(r"\b[0-9a-f]{16}\b|[0-9a-f]{12}(?=\.npz)", "KEY", file.relative_to(place).as_posix())
        if file.is_file() and not re.search(OTHER, name):
            content = file.read_bytes().replace(bytes(place), b"")
            if file.suffix == ".ckpt":
                state = torch.load(file, map_location="cpu", weights_only=True)["state_dict"]
                content = b"".join(state[key].contiguous().numpy().tobytes() for key in sorted(state))
            found[name] = hashlib.sha256(content).hexdigest()
    return found


def compared(there: dict[str, str], expected: dict[str, str]) -> dict[str, list[str]]:
    """Names of the files that are different from those expected, and of those that are left over."""
    different = [name for name in expected if there.get(name) != expected[name]]
    return {"different": different, "leftovers": [name for name in there if name not in expected]}


def waited(child: subprocess.Popen[bytes], seconds: float = 600) -> int | None:
    """The exit status of a process; None if it has not ended after some seconds: by default, if it hangs."""
    with suppress(subprocess.TimeoutExpired):
        return child.wait(seconds)
    return None


class Trials:
    """Trials in an output folder, and the rows of those that are done."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.given, self.folder = given, given.output.resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        (results := self.folder / "results.jsonl").touch()
        git = ["git", "log", "-1", "--format=%h", "--abbrev=12", "--", ":/pneumo_ad", ":/conf"]
        self.commit = subprocess.run(git, cwd=Path(__file__).parent, capture_output=True, text=True).stdout.strip()
        self.rows = [row for row in map(json.loads, results.open()) if row["commit"] == self.commit]

    def done(self, **key: object) -> list[dict[str, Any]]:
        """The rows with these values."""
        return [row for row in self.rows if key.items() <= row.items()]

    def keep(self, place: Path, **row: Any) -> None:
        """Write a row; delete the folder of a trial that found nothing."""
        self.rows.append(row | {"commit": self.commit})
        with (self.folder / "results.jsonl").open("a") as file:
            print(json.dumps(self.rows[-1]), file=file)
        print(json.dumps(row)[:300], flush=True)
        if row["part"] != "whole" and not any(row.get(kind) for kind in FOUND):
            shutil.rmtree(place)

    @contextmanager
    def started(self, place: Path, arguments: list[str], log: str = "0.log") -> Iterator[subprocess.Popen[bytes]]:
        """A command in a folder; ended with all its processes, whatever happens."""
        cache = (place if arguments[0] == "prepare" else self.folder / "whole" / "prepare") / "cache"
        images = next((cache / "phantoms").glob("v*/images"), "")
        environment = {"PNEUMO_AD_CACHE": str(cache), "OMP_NUM_THREADS": "1", "NO_ALBUMENTATIONS_UPDATE": "1"}
        command = [sys.executable, "-c", "from pneumo_ad.cli import main; main()"]
        command += [one.format(epochs=self.given.epochs, images=images) for one in arguments]
        with (place / log).open("ab") as out:
            where: dict[str, Any] = {"cwd": place, "env": os.environ | environment, "stdout": out, "stderr": out}
            child = subprocess.Popen(command, start_new_session=True, **where)
        try:
            yield child
        finally:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()

    def run(self, place: Path, arguments: list[str], log: str = "0.log") -> int | None:
        """The exit status of a command; None if it hangs."""
        with self.started(place, arguments, log) as child:
            return waited(child)

    def place(self, name: str, starts_from: str = "") -> Path:
        """A new folder, with a copy of a run if a command starts from one."""
        shutil.rmtree(place := self.folder / name, ignore_errors=True)
        place.mkdir(parents=True)
        if starts_from:
            self.whole(starts_from)
            shutil.copytree(self.folder / "whole" / starts_from / "run", place / "run")
        return place

    def whole(self, name: str) -> tuple[float, dict[str, str]]:
        """Seconds that the uninterrupted command takes, and what it leaves in `whole/`; it is run once."""
        if name != "prepare":  # whose stores the others share
            self.whole("prepare")
        if not self.done(part="whole", command=name):
            command = COMMANDS["train" if name == "begun" else name]
            place, began = self.place(f"whole/{name}", command.starts_from), time.monotonic()
            with self.started(place, command.arguments) as child:
                while name == "begun" and child.poll() is None and not (place / "run" / LAST).exists():
                    time.sleep(0.02)  # killed as soon as there is a checkpoint
                if name != "begun" and (status := waited(child)) != 0:
                    sys.exit(f"the uninterrupted {name} ended with {status}: {place / '0.log'}")
            self.keep(place, part="whole", command=name, seconds=time.monotonic() - began, left=digests(place))
        return self.done(part="whole", command=name)[0]["seconds"], self.done(part="whole", command=name)[0]["left"]

    def kills(self, name: str, trial: int) -> None:
        """Kill a command and run it again; multiples of the golden ratio modulo 1 are spread evenly, however many."""
        command, (seconds, expected) = COMMANDS[name], self.whole(name)
        share, status = (random.Random(f"{self.given.seed} {name}").random() + trial * 0.618034) % 1, 0
        while status is not None:  # it ends before its moment where the machine was busier before
            place, began = self.place(f"kills-{name}-{trial}", command.starts_from), time.monotonic()
            with self.started(place, command.arguments) as child:
                status = waited(child, moment := share * seconds)
            seconds = time.monotonic() - began
        there, progress = digests(place), any(place.glob(command.progress))
        sizes = {log: log.stat().st_size for log in place.rglob("*.log")}
        status = self.run(place, command.arguments, "1.log")
        said = b"".join(log.read_bytes()[sizes.get(log, 0) :] for log in place.rglob("*.log"))
        goes_on = bool(re.search(command.goes_on.encode(), said))
        finished, after = [file for file in there if file in expected], digests(place)
        lost = [file for file in finished if file not in after] + ["it began anew"] * (progress and not goes_on)
        half = [file for file in finished if there[file] != expected[file] and ".ckpt" not in file]  # these were read
        row = {"moment": round(moment, 2), "goes_on": goes_on, "lost": lost, "half_written": half}
        # `export` replaces nothing that is whole: it says so where the kill came after its end.
        whole = status == 2 and there == expected and b"overwrite=true replaces it" in said
        row |= {"unclear": [] if status == 0 or whole else [f"exit status {status}"], **compared(after, expected)}
        self.keep(place, part="kills", command=name, trial=trial, **row)

    def concurrency(self, name: str, trial: int) -> None:
        """Start a command twice; or another one beside it, again and again until it has ended."""
        first, beside = BESIDE.get(name) or (name, COMMANDS[name].arguments)
        command, (seconds, expected), statuses, unclear, errors = COMMANDS[first], self.whole(first), [], [], []
        delay = trial and random.Random(f"{self.given.seed} {name} {trial}").uniform(0, seconds / 2)
        place = self.place(f"concurrency-{name}-{trial}", command.starts_from)
        with self.started(place, command.arguments) as child:
            waited(child, delay)
            while not statuses or (name in BESIDE and child.poll() is None):
                statuses.append(self.run(place, beside, f"{len(statuses) + 1}.log"))
            statuses.insert(0, waited(child))
        for number, status in enumerate(statuses):
            said = (place / f"{number}.log").read_text(errors="replace")
            errors += (here := re.findall(r"(?m)^error: .*", said))
            if "Traceback" in said or (status, len(here)) not in ((0, 0), (2, 1)):
                unclear.append(f"{number}.log: exit status {status}, {here}")
        row = {"delay": round(delay, 2), "statuses": statuses, "said": sorted(set(errors)), "unclear": unclear}
        self.keep(place, part="concurrency", command=name, trial=trial, **row, **compared(digests(place), expected))

    def determinism(self, name: str, trial: int) -> None:
        """Train with the same seed again; the weights must be the same."""
        place, (_, expected) = self.place("determinism", AGAIN[name].starts_from), self.whole("train")
        unclear = [] if self.run(place, AGAIN[name].arguments) == 0 else ["exit status"]
        different = [file for file in compared(digests(place), expected)["different"] if file.endswith(".ckpt")]
        self.keep(place, part="determinism", command=name, trial=trial, different=different, unclear=unclear)

    def measure(self) -> None:
        """Do the trials that are not done: one of each command, then the next of each."""
        names = {"kills": self.given.commands, "concurrency": [*self.given.commands, *BESIDE], "determinism": AGAIN}
        counts = {"kills": self.given.kills, "concurrency": self.given.pairs, "determinism": 1}
        for part in self.given.parts:
            for trial, name in product(range(counts[part]), names[part]):
                if not self.done(part=part, command=name, trial=trial):
                    getattr(self, part)(name, trial)

    def summary(self) -> int:
        """Print the tables, and what was found; return the number of trials that found anything."""
        for part in ("kills", "concurrency", "determinism"):
            print(f"\n| {part} at {self.commit} | trials | went on | equal | {' | '.join(FOUND)} |\n{'|---' * 9}|")
            for name in dict.fromkeys(row["command"] for row in self.done(part=part)):
                rows = self.done(part=part, command=name)
                on, *counts = (sum(bool(row.get(kind)) for row in rows) for kind in ("goes_on", *FOUND))
                print("|", " | ".join(map(str, (name, len(rows), on, len(rows) - counts[0], *counts))), "|")
        found = [row for row in self.rows if any(row.get(kind) for kind in FOUND)]
        print("", *map(json.dumps, found), sep="\n")
        return len(found)


def main() -> None:
    """Measure and print."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # else what it started would go on
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("parts", nargs="*", default=["kills", "concurrency", "determinism"])
    options.add_argument("--commands", nargs="+", choices=COMMANDS, default=list(COMMANDS))
    for name, default in {"kills": 20, "pairs": 3, "epochs": 30, "seed": 0, "output": Path("runs/trust")}.items():
        options.add_argument(f"--{name}", type=type(default), default=default)
    options.add_argument("--summary", action="store_true")
    trials = Trials(given := options.parse_args())
    if not given.summary:
        trials.measure()
    sys.exit(trials.summary() > 0)


if __name__ == "__main__":
    main()
