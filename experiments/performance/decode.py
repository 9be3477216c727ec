"""How close building a store comes to decoding and resizing alone.

    python experiments/performance/decode.py [FOLDER] [--files 200] [--large 32] [--image-size 256] [--repeats 5]
    python experiments/performance/decode.py [FOLDER] --reduced

Takes turns, in one process, between a store built into an empty cache and bare loops over the same files: Pillow and
torchvision, in one thread and in as many as the store has. The files of the folder as they are (without a folder
phantoms of 1024 x 1024), and enlarged to the size of a hospital's, 2500 x 3000: as JPEG, and as PNG of 12 in 16 bits.
Work is seconds of all threads, which others on the machine disturb less. `--reduced` tells how far decoding JPEG at a
reduced size (Pillow's `draft`) is from decoding all of it.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import io
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torchvision
from PIL import Image
from ratios import Row, Setting, alternate, quotients, ratio
from torchvision.io import ImageReadMode, decode_image
from torchvision.transforms.v2 import functional

from pneumo_ad.data.phantom import draw_phantom
from pneumo_ad.data.readers.radiograph import looks_like_radiograph
from pneumo_ad.data.sources.table import check_table
from pneumo_ad.data.store.opening import open_store
from pneumo_ad.files import reading_threads

LARGE = (2500, 3000)  # width and height: computed radiography at 0.14 mm a pixel
THREADS = reading_threads()  # as many as the store uses


def with_pillow(path: Path, size: int) -> np.ndarray:
    """Nothing but decoding and resizing; files of more than 8 bits at their depth."""
    with Image.open(path) as image:
        grey = image.convert("F" if image.mode.startswith("I") else "L")
        return np.asarray(grey.resize((size, size), Image.Resampling.BILINEAR))


def with_torchvision(path: Path, size: int) -> np.ndarray:
    """The same."""
    pixels = decode_image(str(path), ImageReadMode.GRAY if path.suffix != ".png" else ImageReadMode.UNCHANGED)
    pixels = pixels if pixels.dtype == torch.uint8 else pixels.float()
    return functional.resize(pixels[:1], [size, size], antialias=True)[0].numpy()


def bare(decode: Callable[[Path, int], np.ndarray], paths: Sequence[Path], size: int, threads: int) -> None:
    """Decode and resize all files; what comes of it is dropped."""
    if threads == 1:
        for path in paths:
            decode(path, size)
        return
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(lambda path: decode(path, size), paths):
            pass


def built(table: pd.DataFrame, size: int) -> None:
    """Build a store into an empty cache, and drop it."""
    with tempfile.TemporaryDirectory() as cache, contextlib.redirect_stderr(io.StringIO()):  # no progress bar
        open_store(table, (size, size), cache=Path(cache))


def table_of(paths: Sequence[Path]) -> pd.DataFrame:
    """A table of radiographs without masks."""
    names = [f"{i:05d}" for i in range(len(paths))]
    table = pd.DataFrame({"image": names, "path": [str(path) for path in paths], "patient": names})
    return check_table(table.assign(label="normal", lung="", opacity="", split="train"))


def enlarged(paths: Sequence[Path], folder: Path, deep: bool) -> list[Path]:
    """The same radiographs at the size of a hospital's, with a detector's noise."""
    made = []
    noise = np.random.default_rng(0).normal(0, 1.5, LARGE[::-1]).astype(np.float32)
    for number, path in enumerate(paths):
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("F").resize(LARGE, Image.Resampling.BICUBIC)) + noise
        if deep:
            made.append(folder / f"{number:05d}.png")
            Image.fromarray(np.clip(pixels * 16, 0, 4095).astype(np.uint16)).save(made[-1], compress_level=6)
        else:
            made.append(folder / f"{number:05d}.jpg")
            Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8)).save(made[-1], quality=92)
    return made


def compare(name: str, paths: Sequence[Path], size: int, repeats: int) -> dict[str, list[float]]:
    """Print what share of each bare rate building a store reaches, by the wall and by work of all cores.

    Returns:
        Seconds of each, repeat by repeat.
    """
    table = table_of(paths)
    loops = {
        f"{library}, {count} thread{'s' * (count > 1)}": (decode, count)
        for library, decode in (("Pillow", with_pillow), ("torchvision", with_torchvision))
        for count in sorted({1, THREADS})
    }
    actions: dict[str, Callable[[], object]] = {"store": lambda: built(table, size)}
    for loop, (decode, count) in loops.items():
        actions[loop] = lambda decode=decode, count=count: bare(decode, paths, size, count)  # type: ignore[misc]
    work: dict[str, list[float]] = {of: [] for of in actions}

    def worked(of: str) -> None:
        began = time.process_time()
        actions[of]()
        work[of].append(time.process_time() - began)

    times = alternate(repeats, torch.device("cpu"), **{of: functools.partial(worked, of) for of in actions})
    work = {of: seconds[1:] for of, seconds in work.items()}  # the first one warmed up
    print(f"{name}: {len(paths)} files; store {len(paths) / statistics.median(times['store']):.0f} files/s")
    for loop in loops:
        rate = len(paths) / statistics.median(times[loop])
        print(f"  of {loop:22} wall {ratio(times, loop, 'store')}   work {ratio(work, loop, 'store')}   {rate:.0f}/s")
    return times


def rows(setting: Setting) -> list[Row]:
    """Stores of drawn radiographs; the bound is for loops of as many threads as a store has."""
    found = []
    with tempfile.TemporaryDirectory() as name, contextlib.redirect_stdout(sys.stderr):  # rates beside the table
        drawings = sorted(drawn(Path(name), 4 if setting.quick else 16).iterdir())
        # Enough of them, again and again, for seconds of work: what a store costs whatever it holds then hardly counts.
        kinds = {"JPEG of 1024 x 1024": drawings * (1 if setting.quick else 32)}
        if not setting.quick:
            size = f"{LARGE[0]} x {LARGE[1]}"
            kinds[f"JPEG of {size}"] = enlarged(drawings, Path(name), deep=False) * 4
            kinds[f"PNG of {size}, 12 in 16 bits"] = enlarged(drawings, Path(name), deep=True) * 4
        for kind, paths in kinds.items():
            times = compare(kind, paths, 256, setting.repeats)
            for loop in [loop for loop in times if loop != "store"]:
                bound = 0.8 if loop.endswith(f", {THREADS} thread{'s' * (THREADS > 1)}") else None
                found.append(Row(f"{loop} / store, {kind}", quotients(times, loop, "store"), bound, "%"))
    return found


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--large", type=int, default=32, help="enlarged files; each takes 10 MB on the disk")
    parser.add_argument("--image-size", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--reduced", action="store_true", help="measure decoding at a reduced size instead")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"Pillow {Image.__version__}, torchvision {torchvision.__version__}; a store has {THREADS} threads")
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        folder = arguments.folder or drawn(scratch, 16)
        found = sorted(path for path in folder.rglob("*") if looks_like_radiograph(path))
        paths = found[:: max(1, len(found) // arguments.files)][: arguments.files]
        some = paths[:: max(1, len(paths) // arguments.large)][: arguments.large]
        if arguments.reduced:
            reduced("as they are", [path for path in paths if path.suffix.lower() in (".jpg", ".jpeg")])
            reduced("enlarged", enlarged(some, scratch, deep=False))
            return
        compare("as they are", paths, arguments.image_size, arguments.repeats)
        for kind, deep in (("JPEG", False), ("PNG of 12 in 16 bits", True)):
            large = enlarged(some, scratch, deep)
            compare(f"{LARGE[0]} x {LARGE[1]}, {kind}", large, arguments.image_size, arguments.repeats)


def reduced(name: str, paths: Sequence[Path]) -> None:
    """Print how far decoding JPEG at 1/2, 1/4 and 1/8 of its size is from decoding all of it, after the resize."""

    def resized(path: Path, size: int, scale: int) -> np.ndarray:
        with Image.open(path) as image:
            if scale > 1:
                image.draft("L", (image.width // scale, image.height // scale))
            return np.asarray(image.convert("L").resize((size, size), Image.Resampling.BILINEAR)).astype(int)

    print(
        f"{name}: {len(paths)} files; grey levels between decoding at a reduced size and decoding all, after the resize"
    )
    for size in (256, 128, 64, 32):
        began = time.process_time()
        whole = [resized(path, size, 1) for path in paths]
        seconds = time.process_time() - began
        for scale in (2, 4, 8):
            left = min(min(Image.open(path).size) for path in paths) / scale / size
            if left < 1:  # would be enlarged again
                continue
            began = time.process_time()
            differences = [np.abs(resized(path, size, scale) - one) for path, one in zip(paths, whole, strict=True)]
            gain = seconds / (time.process_time() - began)
            most = np.array([difference.max() for difference in differences])
            share = np.mean([(difference > 1).mean() for difference in differences])
            print(
                f"  to {size:3} by 1/{scale}, {left:4.1f} x or more left to the resize: at most {most.max():3}, "
                f"over 1 in {share:.3%} of pixels; within 1 in {np.mean(most <= 1):4.0%} of files; {gain:.1f} x as fast"
            )


def drawn(folder: Path, count: int) -> Path:
    """A folder of phantoms as JPEG files."""
    (folder / "drawn").mkdir()
    for number in range(count):
        image = Image.fromarray(draw_phantom(number, pneumonia=number % 2 == 1, size=256).image)
        image.resize((1024, 1024)).save(folder / "drawn" / f"{number:05d}.jpg", quality=90)
    return folder / "drawn"


if __name__ == "__main__":
    main()
