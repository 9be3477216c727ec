"""Drawn patients and the maps of the detector: python experiments/demo/first_picture.py [FILE].

Drawn patients without and with an opacity, as `pneumo-ad predict` of the detector that ships shows them, calibrated on
other drawn normals. Shown are those whose opacity is found and raises the map most; what is printed is of all.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

import pneumo_ad
from pneumo_ad.data.phantom import Phantom, draw_phantom
from pneumo_ad.figures.style import COLOURS

NORMALS, PATIENTS = range(200), range(1000, 1024)  # seeds
SHOWN, SIZE, CELL = 4, 512, 240
ROWS = (
    "Drawn patients: the map of the detector",
    "The same patients with an opacity drawn in, outlined",
    "The map of the detector",
)
GAP, LINE = 6, 24


def write(folder: Path, seeds: range, opacity: bool) -> None:
    """Drawn patients as files."""
    folder.mkdir(exist_ok=True)
    for seed in seeds:
        Image.fromarray(draw(seed, opacity).image).save(folder / f"{seed}_{opacity:d}.png")


def draw(seed: int, opacity: bool) -> Phantom:
    """A drawn patient."""
    return draw_phantom(seed, pneumonia=opacity, size=SIZE)


def outlined(phantom: Phantom) -> Image.Image:
    """The radiograph with its opacity outlined."""
    picture = Image.fromarray(phantom.image).convert("RGB")
    mask = Image.fromarray(phantom.opacity.astype(np.uint8) * 255)
    edge = mask.filter(ImageFilter.MaxFilter(5))
    edge.paste(0, mask=mask)
    picture.paste(COLOURS["opacity"], mask=edge)
    return picture


def points(anomaly: np.ndarray, phantom: Phantom) -> bool:
    """Whether the highest place of the map within the lung lies in the opacity."""
    lung, opacity = (
        np.asarray(Image.fromarray(mask).resize(anomaly.shape[::-1], Image.Resampling.NEAREST))
        for mask in (phantom.lung, phantom.opacity)
    )
    return bool(opacity.flat[np.where(lung, anomaly, -np.inf).argmax()])


def column(found: Path, seed: int) -> list[Image.Image]:
    """The map without an opacity, the radiograph with one, its map."""
    phantom = draw(seed, True)
    height, width = phantom.image.shape
    maps = []
    for name in (f"{seed}_0", f"{seed}_1"):
        with Image.open(found / "overlays" / f"{name}.png.png") as page:
            left = (page.width - width) // 2
            maps.append(page.crop((left, 0, left + width, height)))  # without the words beneath
    return [ImageOps.pad(one, (CELL, CELL)) for one in (maps[0], outlined(phantom), maps[1])]


def main(file: Path) -> None:
    """Draw the patients, let the detector judge them, and put the pictures together."""
    with TemporaryDirectory() as place:
        folder = Path(place)
        write(folder / "normals", NORMALS, opacity=False)
        for opacity in (False, True):
            write(folder / "input", PATIENTS, opacity)
        pneumo_ad.predict(
            input=folder / "input", calibrate=folder / "normals", output=(found := folder / "found"), maps="npy"
        )
        table = pd.read_csv(found / "predictions.csv", index_col="file")
        well, ill = (table.loc[[f"{seed}_{opacity}.png" for seed in PATIENTS]] for opacity in (0, 1))
        maps_well, maps_ill = ([np.load(found / name) for name in part["map"]] for part in (well, ill))
        hits = [points(values, draw(seed, True)) for values, seed in zip(maps_ill, PATIENTS, strict=True)]
        rise = ill["score"].to_numpy() - well["score"].to_numpy()
        print(
            f"{len(PATIENTS)} drawn patients, {len(NORMALS)} other drawn normals as the standard: called anomalous "
            f"without an opacity {well['anomalous'].sum()}, with one {ill['anomalous'].sum()}; the opacity raises the "
            f"score of {(rise > 0).sum()}; the highest place of the map in "
            f"the lung lies in the opacity of {sum(hits)}"
        )
        lit = [np.nanmean(one) - np.nanmean(other) for one, other in zip(maps_ill, maps_well, strict=True)]
        told = ill["anomalous"].to_numpy(dtype=bool) & ~well["anomalous"].to_numpy(dtype=bool)
        shown = [PATIENTS[i] for i in np.argsort(np.where(told, lit, -1))[::-1][:SHOWN]]
        columns = [column(found, seed) for seed in shown]
        with Image.open(found / "overlays" / f"{shown[0]}_1.png.png") as first:
            top = draw(shown[0], True).image.shape[0]
            bar = first.crop((0, top, first.width, top + 26))
    page = Image.new("RGB", (SHOWN * (CELL + GAP) - GAP, len(ROWS) * (CELL + LINE) + bar.height), "white")
    words, font = ImageDraw.Draw(page), ImageFont.load_default(14)
    for row, line in enumerate(ROWS):
        top = row * (CELL + LINE)
        words.text((0, top + 4), line, "black", font)
        for number, pictures in enumerate(columns):
            page.paste(pictures[row], (number * (CELL + GAP), top + LINE))
    page.paste(bar, (0, page.height - bar.height))
    page.save(file, optimize=True)
    print(file)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("first_picture.png"))
