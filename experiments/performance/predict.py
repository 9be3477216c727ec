"""How close `pneumo-ad predict` comes to decoding and the bare nets, and what memory it takes.

    python experiments/performance/predict.py RUN [FOLDER] [--files 128] [--repeats 3]
    python experiments/performance/predict.py RUN [FOLDER] --memory 100 2000

Without a folder it draws radiographs of 1024 x 1024 pixels. The parts are taken in turn with the whole, in one process:
decoding and fitting the files in one thread, and the lung segmenter and the run's net over batches that lie ready.
"""

from __future__ import annotations

import argparse
import logging
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from pneumo_ad.data.datasets import ExhaustivePatches
from pneumo_ad.data.phantom import draw_phantom
from pneumo_ad.lungs.segmenter import LungSegmenter
from pneumo_ad.prediction.decoding import decode
from pneumo_ad.prediction.folder import OutputFolder, writable
from pneumo_ad.prediction.inputs import File, find_files
from pneumo_ad.prediction.opening import open_predictor
from pneumo_ad.prediction.pictures import Pictures
from pneumo_ad.prediction.predict import judge_files, write_tables
from pneumo_ad.prediction.run_predictor import RunPredictor


def drawn(folder: Path, count: int) -> Path:
    """A folder of phantoms as JPEG files."""
    for number in range(count):
        image = Image.fromarray(draw_phantom(number, pneumonia=number % 2 == 1, size=256).image)
        image.resize((1024, 1024)).save(folder / f"{number:05d}.jpg", quality=90)
    return folder


def chosen(folder: Path, count: int) -> list[File]:
    """So many of its radiographs, again from the start where there are fewer."""
    files = [file for file in find_files(folder, Path(os.devnull)) if file.kind == "radiograph"]
    return [File(f"{i:05d}{file.path.suffix}", file.path) for i, file in enumerate(files * -(-count // len(files)))][
        :count
    ]


def whole(judge: RunPredictor, files: list[File], maps: str, overlays: bool) -> None:
    """All of `predict` but the opening of the run."""
    with tempfile.TemporaryDirectory() as name, writable(Path(name)):
        output = OutputFolder(Path(name), {"run": "benchmark"}, overwrite=True)
        readable = [file for file in files if file.kind == "radiograph"]
        judge_files(judge, readable, output, Pictures(Path(name), judge.standard, maps, overlays))
        write_tables(judge, files, output)


def speed(judge: RunPredictor, files: list[File], repeats: int) -> None:
    """Print the share of the parts in the whole."""
    images = np.stack([decode(file.path, judge.grid, judge.fit, picture=False).image for file in files])
    patches = ExhaustivePatches(images, np.arange(len(images)), judge.grid)
    device, size = next(judge.scoring.net.parameters()).device, judge.scoring.batch_size
    if judge.view == "patch":
        cut = [
            patches.__getitems__(range(i, min(i + size, len(patches))))["patch"] for i in range(0, len(patches), size)
        ]
    else:
        cut = [torch.from_numpy(images[i : i + 8])[:, None] for i in range(0, len(images), 8)]
    radiographs = [torch.from_numpy(images[i : i + 16])[:, None].to(device) for i in range(0, len(images), 16)]
    segmenter = LungSegmenter.from_file().to(device, memory_format=torch.channels_last)

    def decoding() -> None:
        for file in files:
            decode(file.path, judge.grid, judge.fit, picture=False)

    @torch.inference_mode()
    def nets() -> None:
        for batch in radiographs:
            segmenter.probability(batch)
        for batch in cut:
            judge.scoring.net((batch.to(device).float() / 255).contiguous(memory_format=torch.channels_last))

    actions = {"decoding": decoding, "nets": nets}
    wholes = {"tables alone": ("none", False), "with maps": ("png", False), "with maps and overlays": ("png", True)}
    for name, asked in wholes.items():
        actions[name] = lambda asked=asked: whole(judge, files, *asked)  # type: ignore[misc]
    wall: dict[str, list[float]] = {name: [] for name in actions}
    work: dict[str, list[float]] = {
        name: [] for name in actions
    }  # seconds of all cores: others on the machine count less
    for repeat in range(repeats + 1):  # the first one warms up
        for name, action in actions.items():
            started, worked = time.perf_counter(), time.process_time()
            action()
            if repeat:
                wall[name].append(time.perf_counter() - started)
                work[name].append(time.process_time() - worked)
    for name in actions:
        seconds = statistics.median(wall[name])
        worked = statistics.median(work[name])
        print(f"{name:24} {seconds:7.2f} s, {len(files) / seconds:6.1f} files/s; {worked:7.2f} s of work")
    for name in wholes:
        print(f"(decoding + nets) / {name}: wall {share(wall, name)}; work {share(work, name)}")


def share(times: dict[str, list[float]], name: str) -> str:
    """Median and range of the parts over a whole, repeat by repeat."""
    shares = [(a + b) / c for a, b, c in zip(times["decoding"], times["nets"], times[name], strict=True)]
    return f"{statistics.median(shares):.0%} (from {min(shares):.0%} to {max(shares):.0%})"


def main() -> None:
    """Print speeds, or memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="a run folder")
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--files", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--memory", type=int, nargs="+", help="numbers of files, each judged in a process of its own")
    parser.add_argument("--peak", action="store_true", help=argparse.SUPPRESS)  # such a process
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as name:
        folder = arguments.folder or drawn(Path(name), 64)
        if arguments.memory:
            for count in arguments.memory:
                one = [sys.executable, __file__, arguments.run, str(folder), "--files", str(count), "--peak"]
                done = subprocess.run(one, capture_output=True, text=True, check=True)
                print(f"{count:6} files: {done.stdout.strip()}")
            return
        judge = open_predictor(arguments.run)
        assert isinstance(judge, RunPredictor)
        files = chosen(folder, arguments.files)
        if arguments.peak:
            whole(judge, files, "png", True)
            print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB at most")
            return
        print(f"{len(files)} files; {torch.get_num_threads()} threads; torch {torch.__version__}")
        speed(judge, files, arguments.repeats)


if __name__ == "__main__":
    main()
