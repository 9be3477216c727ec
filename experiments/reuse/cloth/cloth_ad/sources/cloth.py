"""The data source: what pneumo_ad asks of one is a function that returns a checked table."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from pneumo_ad.data.sources.table import check_table, split_by_patient
from pneumo_ad.errors import ConfigError
from pneumo_ad.files import cache_dir
from pneumo_ad.labels import NORMAL, PNEUMONIA

from cloth_ad.weave import draw_cloth


def cloth(
    sound: int = 40, faulty: int = 24, size: int = 128, val: float = 0.2, test: float = 0.4, seed: int = 0
) -> pd.DataFrame:
    """Drawn cloth, written to the cache folder once; sound cloth is `normal`, faulty cloth takes the other label.

    A source of your own reads its files here instead of drawing them; the table is the same.

    Args:
        sound: Pieces without a fault.
        faulty: Pieces with one to three.
        size: Side in pixels.
        val: Share of pieces in val.
        test: Share of pieces in test.
        seed: Fixes every drawing and the split.

    Raises:
        ConfigError: Numbers that cannot be drawn.
    """
    if min(sound, faulty) < 0 or size < 32:
        raise ConfigError(f"sound={sound} and faulty={faulty} must not be negative, size={size} at least 32 pixels")
    folder = cache_dir() / "cloth" / f"v1-sound{sound}-faulty{faulty}-size{size}-seed{seed}"
    if not folder.is_dir():
        _write(folder, sound, faulty, size, seed)
    rows = [
        {
            "image": name,
            "patient": name,  # who may not be in two splits: here each piece of cloth
            "label": PNEUMONIA if bad else NORMAL,
            "path": str(folder / "images" / f"{name}.png"),
            "lung": str(folder / "everywhere.png"),  # where to look: one white mask serves all pictures
            "opacity": str(folder / "faults" / f"{name}.png") if bad else "",
        }
        for name, bad in _pieces(sound, faulty, seed)
    ]
    table = pd.DataFrame(rows)
    table["split"] = split_by_patient(table, "patient", val, test, seed)
    return check_table(table)


def _pieces(sound: int, faulty: int, seed: int) -> list[tuple[str, bool]]:
    """Name of each piece and whether it is faulty. The seed is in the name: pieces of another seed are others."""
    return [(f"s{seed}-sound{i:03d}", False) for i in range(sound)] + [
        (f"s{seed}-faulty{i:03d}", True) for i in range(faulty)
    ]


def _write(folder: Path, sound: int, faulty: int, size: int, seed: int) -> None:
    """Write aside and rename, so that a killed writer leaves nothing half."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    for kind in ("images", "faults"):
        (aside / kind).mkdir()
    Image.fromarray(np.full((size, size), 255, dtype=np.uint8)).save(aside / "everywhere.png")
    for number, (name, bad) in enumerate(_pieces(sound, faulty, seed)):
        picture, fault = draw_cloth(np.random.default_rng([seed, number]), size, bad)
        Image.fromarray(picture).save(aside / "images" / f"{name}.png")
        if bad:
            Image.fromarray(fault).save(aside / "faults" / f"{name}.png")
    try:
        aside.rename(folder)
    except OSError:  # another run was first
        shutil.rmtree(aside)
        if not folder.is_dir():
            raise
