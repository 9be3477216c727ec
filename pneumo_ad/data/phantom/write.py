"""Writing of phantoms to files: a folder of PNG images, masks and an index."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from pneumo_ad.data.progress import progress_bar
from pneumo_ad.files import atomic_folder

from .draw import draw_phantom

INDEX = "index.csv"
COLUMNS = ["image", "patient", "label", "finding", "width", "height", "seed"]


def write_phantoms(
    folder: str | Path, *, normal: int = 240, pneumonia: int = 60, size: int = 320, seed: int = 0
) -> Path:
    """Write a data set of phantoms, unless it already exists.

    ``images/*.png`` are 8-bit grey, ``lung/*.png`` and ``opacity/*.png`` 1-bit masks with the stem of their image
    (opacities for pneumonia only); ``index.csv`` has one row per image. One patient has one image, and the names
    contain the seed, so that sets of several seeds can be put together.

    The files are written to a temporary folder beside ``folder``, which is renamed when complete: a killed write leaves
    no incomplete set, and of two writers at once the second waits for the first (`atomic_folder`).

    Args:
        folder: Folder of the data set; its parents are created.
        normal: Number of normal phantoms, >= 0.
        pneumonia: Number of phantoms with pneumonia, >= 0.
        size: Longest side in pixels, >= 64.
        seed: Seed of the whole set, >= 0.

    Returns:
        Folder of the data set.

    Raises:
        ValueError: A count is negative, both are 0, ``size`` is below 64 or ``seed`` is negative.
        FileExistsError: ``folder`` exists, is not empty and is no complete data set.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     made = write_phantoms(place + "/set", normal=2, pneumonia=1, size=64)
    ...     sorted(path.name for path in (made / "images").iterdir())
    ['s0-n0001.png', 's0-n0002.png', 's0-p0001.png']
    """
    if normal < 0 or pneumonia < 0 or normal + pneumonia == 0:
        raise ValueError(f"normal={normal}, pneumonia={pneumonia}: counts must be >= 0 and one of them > 0")
    if size < 64:
        raise ValueError(f"size={size} must be at least 64 pixels")
    if seed < 0:
        raise ValueError(f"seed={seed} must be >= 0")
    folder = Path(folder)
    if (folder / INDEX).is_file():
        return folder
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} exists and is no data set of phantoms: it has no {INDEX}")
    wanted = [(False, n + 1) for n in range(normal)] + [(True, n + 1) for n in range(pneumonia)]
    with atomic_folder(folder) as aside:
        if (folder / INDEX).is_file():
            aside.rmdir()  # another process wrote it while we waited
        else:
            _write(aside, wanted, size, seed)
    return folder


def _write(folder: Path, wanted: list[tuple[bool, int]], size: int, seed: int) -> None:
    """Write all files of a set, the index last."""
    for kind in ("images", "lung", "opacity"):
        (folder / kind).mkdir()

    def write_one(job: tuple[bool, int]) -> tuple[str | int, ...]:
        ill, number = job
        phantom_seed = int(np.random.SeedSequence([seed, number, int(ill)]).generate_state(1)[0])
        phantom = draw_phantom(phantom_seed, pneumonia=ill, size=size)
        stem = f"s{seed}-{'p' if ill else 'n'}{number:04d}"
        Image.fromarray(phantom.image).save(folder / "images" / f"{stem}.png")
        Image.fromarray(phantom.lung).save(folder / "lung" / f"{stem}.png")
        if ill:
            Image.fromarray(phantom.opacity).save(folder / "opacity" / f"{stem}.png")
        height, width = phantom.image.shape
        label = "pneumonia" if ill else "normal"
        return stem, stem, label, phantom.finding, width, height, phantom_seed

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        rows = list(progress_bar(pool.map(write_one, wanted), total=len(wanted), desc="phantoms", unit="image"))
    pd.DataFrame(rows, columns=COLUMNS).to_csv(folder / INDEX, index=False)
