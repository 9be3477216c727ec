"""Small radiographs, folders and tables that the tests draw themselves."""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image


def lung_mask(height, width):
    """Two ellipses, as lungs lie."""
    y, x = np.mgrid[0:height, 0:width] + 0.5
    y, x = y / height, x / width
    return np.logical_or.reduce([((x - middle) / 0.2) ** 2 + ((y - 0.5) / 0.42) ** 2 < 1 for middle in (0.26, 0.74)])


def opacity_mask(height, width):
    """A disc in one lung."""
    y, x = np.mgrid[0:height, 0:width] + 0.5
    return (((x / width - 0.26) / 0.16) ** 2 + ((y / height - 0.5) / 0.2) ** 2 < 1) & lung_mask(height, width)


def radiograph(seed, height=96, width=80, sick=False):
    """Dark, textured lungs in a bright body; sick ones have a bright disc."""
    rng = np.random.default_rng(seed)
    picture = np.where(lung_mask(height, width), 80.0, 170.0) + 40 * opacity_mask(height, width) * sick
    coarse = rng.normal(0, 12, (height // 8 + 1, width // 8 + 1)).astype(np.float32)
    texture = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    return np.clip(picture + texture + rng.normal(0, 4, (height, width)), 0, 255).astype(np.uint8)


def write_set(folder, normal=6, pneumonia=6, height=96, width=80, masks=True):
    """A folder for `data=masks`: images/, lung/, opacity/, index.csv."""
    folder = Path(folder)
    rows = []
    for kind in ("images", "lung", "opacity") if masks else ("images",):
        (folder / kind).mkdir(parents=True)
    for number in range(normal + pneumonia):
        sick = number >= normal
        name = f"{'p' if sick else 'n'}{number:03d}"
        Image.fromarray(radiograph(number, height, width, sick)).save(folder / "images" / f"{name}.png")
        if masks:
            Image.fromarray(lung_mask(height, width)).save(folder / "lung" / f"{name}.png")
        if masks and sick:
            Image.fromarray(opacity_mask(height, width)).save(folder / "opacity" / f"{name}.png")
        rows.append({"image": name, "patient": f"patient{number // 2}", "label": "pneumonia" if sick else "normal"})
    pd.DataFrame(rows).to_csv(folder / "index.csv", index=False)
    return folder


def table_of(paths, label="normal", split="train", **columns):
    """A table of radiographs without masks, each a patient of its own."""
    names = [Path(path).stem for path in paths]
    columns = {"label": label, "split": split, "lung": "", "opacity": "", "patient": names} | columns
    return pd.DataFrame({"image": names, "path": [str(path) for path in paths], **columns})


def write_kaggle(folder, levels=("",), normal=4, pneumonia=6):
    """The layout of `data=chest_xray`, numbering patients anew in each level."""
    folder = Path(folder)
    for number, level in enumerate(levels):
        for label in ("NORMAL", "PNEUMONIA"):
            (folder / level / label).mkdir(parents=True)
        for i in range(normal):
            file = folder / level / "NORMAL" / f"IM-{100 * number + i:04d}-0001.jpeg"
            Image.fromarray(radiograph(i)).save(file)
        for i in range(pneumonia):
            finding = "bacteria" if i % 2 else "virus"
            file = folder / level / "PNEUMONIA" / f"person{100 * number + i // 2}_{finding}_{i + 10 * number}.jpeg"
            Image.fromarray(radiograph(50 + i, sick=True)).save(file)
    return folder
