"""Many small radiographs in little time: a few phantoms, shifted and with noise of their own, in many folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from pneumo_ad.data.phantom import draw_phantom

DRAWN = 200  # phantoms that all others are made of
PER_FOLDER = 1000


def draw_many(folder: Path, count: int, size: int = 64, sick: float = 0.4) -> Path:
    """Write `count` JPEG files, a thousand to a folder, and `index.csv` (image, patient, label).

    Args:
        folder: New.
        count: Radiographs; every patient has two.
        size: Longest side in pixels.
        sick: Share with pneumonia.

    Returns:
        The csv.
    """
    rng = np.random.default_rng(0)
    cut = round(sick * DRAWN)
    drawn = [draw_phantom(seed, pneumonia=seed < cut, size=size).image.astype(np.int16) for seed in range(DRAWN)]
    lines = ["image,patient,label"]
    for number in range(count):
        patient = number // 2
        which = patient % DRAWN
        shift = rng.integers(-2, 3, 2).tolist()
        picture = np.roll(drawn[which], shift, (0, 1)) + rng.integers(-6, 7, drawn[which].shape, dtype=np.int16)
        name = f"p{number // PER_FOLDER:03d}/r{number:06d}.jpg"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).save(folder / name, quality=90)
        lines.append(f"{name},q{patient},{'pneumonia' if which < cut else 'normal'}")
    csv = folder / "index.csv"
    csv.write_text("\n".join(lines) + "\n")
    return csv
