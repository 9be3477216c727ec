"""Small radiographs, folders and tables that the tests draw themselves."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from torch import nn

SIDE = 64  # of `chest`


def lung_mask(height, width):
    """Two ellipses, as lungs lie."""
    y, x = np.mgrid[0:height, 0:width] + 0.5
    y, x = y / height, x / width
    return np.logical_or.reduce([((x - middle) / 0.2) ** 2 + ((y - 0.5) / 0.42) ** 2 < 1 for middle in (0.26, 0.74)])


def opacity_mask(height, width):
    """A disc in one lung."""
    y, x = np.mgrid[0:height, 0:width] + 0.5
    return (((x / width - 0.26) / 0.16) ** 2 + ((y / height - 0.5) / 0.2) ** 2 < 1) & lung_mask(height, width)


def radiograph(seed, height=96, width=80, sick=False, spine=True):
    """Dark, textured lungs in a bright body; sick ones have a bright disc. Without a spine it looks inverted."""
    rng = np.random.default_rng(seed)
    spine = spine & (np.abs((np.arange(width) + 0.5) / width - 0.5) < 0.04)
    picture = np.where(lung_mask(height, width), 80.0, 170.0) + 40 * opacity_mask(height, width) * sick + 80 * spine
    coarse = rng.normal(0, 12, (height // 8 + 1, width // 8 + 1)).astype(np.float32)
    texture = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    return np.clip(picture + texture + rng.normal(0, 4, (height, width)), 0, 255).astype(np.uint8)


def lateral_view(seed, side=256):
    """One lung area across the middle, heart before it, vertebrae behind it."""
    rng = np.random.default_rng(seed)
    picture = np.where(_ellipse(side, 0.5, 0.5, 0.6, 0.4), 150.0, 60.0)
    picture[_ellipse(side, 0.42, 0.5, 0.34 + 0.01 * rng.random(), 0.26)] = 60
    picture[_ellipse(side, 0.55, 0.38, 0.16, 0.12)] = 150
    for vertebra in range(10):
        picture[_ellipse(side, 0.08 + 0.09 * vertebra, 0.76, 0.035, 0.04)] = 215
    picture[_ellipse(side, 0.85, 0.5, 0.18, 0.38)] = 200
    return _blurred(picture, rng)


def ct_slice(seed, side=256):
    """A body in black air, with two lungs, a heart and a vertebra."""
    rng = np.random.default_rng(seed)
    picture = np.where(_ellipse(side, 0.5, 0.5, 0.3 + 0.05 * rng.random(), 0.42), 130.0, 0.0)
    for middle in (0.31, 0.69):
        picture[_ellipse(side, 0.48, middle, 0.2, 0.13 + 0.01 * rng.random())] = 20
    picture[_ellipse(side, 0.68, 0.5, 0.06, 0.05)] = 230
    picture[_ellipse(side, 0.45, 0.52, 0.1, 0.09)] = 150
    return _blurred(picture, rng)


def _ellipse(side, y, x, height, width):
    rows, columns = np.mgrid[0:side, 0:side] / side
    return ((rows - y) / height) ** 2 + ((columns - x) / width) ** 2 < 1


def _blurred(picture, rng):
    noise = rng.normal(0, 5, picture.shape)
    return np.clip(gaussian_filter(picture, len(picture) / 100) + noise, 0, 255).astype(np.uint8)


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


class DarkIsLung(nn.Module):
    """Segmentation known without a segmenter, which moves with the picture: lung is darker than 0.5."""

    def forward(self, x):
        return (x < 0.5).float()


def chest(n=30, seed=0, top=12, left=8, height=40, width=44):
    """Bright bodies with a dark box of lung, brighter downwards, in which patients differ."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.full((n, 1, SIDE, SIDE), 0.8)
    waves = torch.randn((n, 1, 6, 6), generator=generator)
    waves = nn.functional.interpolate(waves, (height, width), mode="bilinear")
    grey = torch.linspace(0.2, 0.35, height)[:, None] + 0.02 * waves
    x[..., top : top + height, left : left + width] = grey
    return x
