"""What memory `pneumo-ad evaluate` takes at a fine stride, against a coarse one: fresh processes, at most, as a ratio.

    python experiments/performance/memory.py [--images 500] [--strides 20 1] [--run RUN] [override ...]

Trains a tiny net on drawn radiographs of 256 x 256 pixels first (`--run` takes a finished run instead) and evaluates
all of them with `subset=all` and the overrides, for example `scoring=dense`. *Peak* is the largest
resident set; it counts pages of the stores' files, which the system may drop. *Anonymous* is what it may not.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from ratios import Row, Setting

_COMMAND = [sys.executable, "-c", "from pneumo_ad.cli import main; main()"]
_TINY = ["net.width=2", "trainer=cpu", "trainer.max_epochs=1", "per_epoch=2048", "callbacks=minimal", "logger=csv"]


def trained(folder: Path, images: int) -> Path:
    """A run on so many phantoms, half of them with opacities."""
    data = [f"data.normal={images - images // 2}", f"data.pneumonia={images // 2}", "data.size=256"]
    data += ["data.val=0.1", "data.test=0.1", "evaluate=null", f"hydra.run.dir={folder}"]
    subprocess.run([*_COMMAND, "train", *data, *_TINY], check=True, stdout=subprocess.DEVNULL)
    return folder


def peaks(arguments: Sequence[str]) -> tuple[float, float, float]:
    """Largest resident set and largest anonymous memory (MiB) of a command, and its seconds.

    Args:
        arguments: Arguments of `pneumo-ad`.
    """
    started = time.perf_counter()
    process = subprocess.Popen([*_COMMAND, *arguments], stdout=subprocess.DEVNULL)
    anonymous = [0]
    watcher = threading.Thread(target=_watch, args=(Path(f"/proc/{process.pid}/status"), anonymous), daemon=True)
    watcher.start()
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"pneumo-ad {' '.join(arguments)} failed")
    return usage.ru_maxrss / 1024, anonymous[0] / 1024, time.perf_counter() - started


def _watch(status: Path, most: list[int]) -> None:
    """Keep the largest `RssAnon` (KiB), looked at twenty times a second, until the process is gone."""
    while True:
        try:
            found = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("RssAnon")]
        except OSError:
            return
        most[0] = max([most[0], *map(int, found)])
        time.sleep(0.05)


def rows(setting: Setting) -> list[Row]:
    """Peaks of evaluating radiographs densely at stride 1 over those at stride 20; a run of each, as they take long."""
    images, (coarse, fine) = (20, (20, 8)) if setting.quick else (500, (20, 1))
    with tempfile.TemporaryDirectory() as name:
        run = trained(Path(name) / "run", images)
        options = ["evaluate", f"run={run}", "subset=all", "scoring=dense", "halo=12"]
        found = {stride: peaks([*options, f"stride={stride}", f"output={name}/{stride}"]) for stride in (coarse, fine)}
    return [
        Row(
            f"{kind} memory at most, evaluating {images} radiographs densely: stride {fine} / stride {coarse}",
            (found[fine][place] / found[coarse][place],),
            1.2,
            at_most=True,
            note=f"{found[fine][place]:.0f} / {found[coarse][place]:.0f} MiB",
        )
        for place, kind in enumerate(("resident", "anonymous"))
    ]


def main() -> None:
    """Print the peak at each stride, and each as a ratio to the first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", help="of the evaluations")
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--strides", type=int, nargs="+", default=[20, 1])
    parser.add_argument("--run", type=Path, help="a finished run")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        run = arguments.run or trained(Path(name) / "run", arguments.images)
        found = {}
        for stride in arguments.strides:
            options = [f"run={run}", f"stride={stride}", "subset=all", f"output={name}/{stride}"]
            found[stride] = peaks(["evaluate", *options, *arguments.overrides])
            peak, anonymous, seconds = found[stride]
            ratio, of_anonymous = (found[stride][i] / found[arguments.strides[0]][i] for i in (0, 1))
            print(
                f"stride {stride:3}: peak {peak:6.0f} MiB ({ratio:.2f} x), anonymous {anonymous:6.0f} MiB "
                f"({of_anonymous:.2f} x), {seconds:.0f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
