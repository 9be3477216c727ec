"""What SAD answers to, one thing at a time: `python experiments/why_sad_fails/taken_away.py run=RUN[,RUN]`.

Into the lungs of a run's held-out normal radiographs the same shapes are drawn, once brighter, once smoother, once both
and once rougher than the lung around them. What is drawn is known, so each cause is alone. `output=DIR` also draws
one of the radiographs in all versions: of phantoms, as pictures of patients are not ours to show. `masks=DIR` measures
the opacities of patients instead, in a folder for `data=masks`: of all windows, and of windows alike in one respect.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from scipy.ndimage import gaussian_filter

from pneumo_ad.data.datasets import ExhaustivePatches
from pneumo_ad.data.phantom.opacity import draw_shape
from pneumo_ad.data.sources import masks
from pneumo_ad.errors import ConfigError
from pneumo_ad.evaluation.ground_truth import gather_ground_truth
from pneumo_ad.figures.style import STYLE, page
from pneumo_ad.files import atomic_write
from pneumo_ad.labels import HEALTHY, OPACITY
from pneumo_ad.metrics.ranking import auroc_with_interval
from pneumo_ad.metrics.strata import aurocs_in_strata
from pneumo_ad.patches import PatchGrid
from pneumo_ad.runs.run import Run, load_run

FINE = 3.0  # pixels; texture is what a blur of this width takes away
BRIGHTER = 25.0  # grey levels
SHARE = 0.7  # of the texture that is taken away or added
# Name of a version -> grey levels added, change of the texture.
VERSIONS = {
    "nothing": (0.0, 0.0),
    "brighter": (BRIGHTER, 0.0),
    "smoother": (0.0, -SHARE),
    "brighter and smoother": (BRIGHTER, -SHARE),
    "brighter and rougher": (BRIGHTER, SHARE),
}


def drawn_into(
    radiograph: npt.NDArray[np.uint8], density: npt.NDArray[np.float32], added: float, texture: float
) -> npt.NDArray[np.uint8]:
    """Change brightness and texture of a radiograph where a shape is dense.

    Args:
        radiograph: (H, W) grey levels.
        density: (H, W) in [0, 1], how much of the change each pixel gets.
        added: Grey levels.
        texture: Change of what a blur of `FINE` pixels takes away, as a share of it; -1 removes it.
    """
    plain = radiograph.astype(np.float32)
    fine = plain - gaussian_filter(plain, FINE)
    return np.clip(np.rint(plain + density * (added + texture * fine)), 0, 255).astype(np.uint8)


def sad_of(run: Run, images: npt.NDArray[np.uint8], grid: PatchGrid) -> npt.NDArray[np.float32]:
    """SAD of every window, (N, windows), mean grey levels per pixel."""
    patches = ExhaustivePatches(images, np.arange(len(images)), grid)
    found = []
    with torch.inference_mode():
        for first in range(0, len(patches), 256):
            x = patches.cut(range(first, min(first + 256, len(patches))))["patch"] / 255
            found.append(255 * (run.module(x).reconstruction - x).abs().mean(dim=(1, 2, 3)))
    return torch.cat(found).numpy().reshape(len(images), -1)


def measured(runs: list[Run]) -> tuple[pd.DataFrame, dict[str, npt.NDArray[np.uint8]]]:
    """AUROC of windows with the change against healthy lung of the same radiographs, by version and score.

    Returns:
        Table of a row per version and score, and one radiograph in all versions, (H, W) each, by name.
    """
    data = runs[0].radiographs
    rows = data.some_rows("test", "normal")
    rows = rows[data.lung_fields[rows].any(axis=(1, 2))]
    lungs = np.asarray(data.lung_fields[rows]).astype(bool)
    shapes = [draw_shape(lung, np.random.default_rng(int(row))) for row, lung in zip(rows, lungs, strict=True)]
    inside = data.grid.window_means(torch.from_numpy(lungs.astype(np.float32))).numpy() == 1
    covered = data.grid.window_means(torch.from_numpy(np.stack([one.density for one in shapes]))).numpy()
    changed, healthy = inside & (covered > 0.5), inside & (covered < 0.01)
    windows = changed | healthy
    patients = np.repeat(data.store.table["patient"].to_numpy()[rows][:, None], len(data.grid), axis=1)[windows]
    found, pictures = [], {}
    for name, (added, texture) in VERSIONS.items():
        images = np.stack([
            drawn_into(np.asarray(data.images[row]), one.density, added, texture)
            for row, one in zip(rows, shapes, strict=True)
        ])  # fmt: skip
        pictures[name] = images[int(np.argmax([one.mask.sum() for one in shapes]))]
        scores = {f"SAD, {run.config.name}": sad_of(run, images, data.grid) for run in runs}
        means = data.grid.window_means(torch.from_numpy(images.astype(np.float32))).numpy()
        for score, values in {**scores, "brightness": means}.items():
            figure = auroc_with_interval(values[windows], changed[windows], patients)
            median = np.median(values[changed]) / np.median(values[healthy])
            found.append((name, score, figure.value, figure.low, figure.high, median, int(changed.sum()), len(rows)))
    columns = ["drawn", "score", "auroc", "low", "high", "median_ratio", "windows", "radiographs"]
    return pd.DataFrame(found, columns=columns), pictures


def on_patients(runs: list[Run], folder: str) -> pd.DataFrame:
    """AUROC of opacities against healthy lung, of all windows and within strata of equal texture and brightness.

    Args:
        runs: Runs whose SAD is measured.
        folder: Folder for `data=masks`, with masks of lungs and opacities.
    """
    data = runs[0].some_radiographs(masks(folder, split="test"))
    rows = data.rows(None)
    truth = gather_ground_truth(data, rows)
    kind = truth.kind.ravel()
    windows = (kind == OPACITY) | (kind == HEALTHY)
    patients = np.repeat(truth.patient[:, None], len(data.grid), axis=1).ravel()[windows]
    images = np.stack([np.asarray(data.images[row]) for row in rows])
    plain = images.astype(np.float32)
    fine = np.abs(plain - np.stack([gaussian_filter(one, FINE) for one in plain]))
    scores = {f"SAD, {run.config.name}": sad_of(run, images, data.grid) for run in runs}
    alike = {
        name: data.grid.window_means(torch.from_numpy(of)).numpy()
        for name, of in (("texture", fine), ("brightness", plain))
    }
    found = []
    for name, values in {**scores, **alike}.items():
        score, opaque = values.ravel()[windows], kind[windows] == OPACITY
        whole = auroc_with_interval(score, opaque, patients)
        strata = {
            of: np.median(aurocs_in_strata(score, opaque, nuisance.ravel()[windows])) for of, nuisance in alike.items()
        }
        found.append(
            {"score": name, "auroc": whole.value, "low": whole.low, "high": whole.high}
            | {f"at equal {of}": value for of, value in strata.items()}
        )
    counts = f"{(kind == OPACITY).sum()} of opacity, {(kind == HEALTHY).sum()} of healthy lung"
    print(f"windows: {counts}; {len(rows)} radiographs")
    return pd.DataFrame(found)


def draw(table: pd.DataFrame, pictures: dict[str, npt.NDArray[np.uint8]], file: Path) -> None:
    """Draw one radiograph in all versions above the AUROC of each."""
    with mpl.rc_context(STYLE):
        figure = page(7.0, 3.9)
        top, bottom = figure.subfigures(2, 1, height_ratios=(1, 1.25))
        for axis, (name, picture) in zip(top.subplots(1, len(pictures)), pictures.items(), strict=True):
            axis.imshow(picture, cmap="gray", vmin=0, vmax=255)
            axis.set_title(name)
            axis.set_axis_off()
        axis = bottom.subplots()
        scores = list(table["score"].unique())
        for place, score in enumerate(scores):
            part = table[table["score"] == score]
            x = np.arange(len(part)) + 0.22 * (place - (len(scores) - 1) / 2)
            spread = np.abs(part[["low", "high"]].to_numpy().T - part["auroc"].to_numpy())
            axis.errorbar(x, part["auroc"], spread, fmt="os^D"[place], markersize=4, linewidth=1, label=score)
        axis.axhline(0.5, color="0.6", linewidth=0.8)
        axis.set_xticks(range(len(VERSIONS)), [name.replace(" and ", "\nand ") for name in VERSIONS])
        axis.set_ylim(0, 1)
        axis.set_ylabel("AUROC against healthy lung")
        bottom.legend(loc="outside right center")
        with atomic_write(file) as aside:
            figure.savefig(aside, dpi=150, format="png")


def main(arguments: list[str]) -> None:
    """Print the table, and write the figure where it is asked for."""
    options = dict(argument.split("=", 1) for argument in arguments)
    if "run" not in options:
        raise ConfigError("run= is missing: run folders of `pneumo-ad train`, separated by commas")
    runs = [load_run(folder) for folder in options["run"].split(",")]
    if "masks" in options:
        print(on_patients(runs, options["masks"]).round(3).to_string(index=False))
        return
    table, pictures = measured(runs)
    print(table.round(3).to_string(index=False))
    if "output" in options:
        folder = Path(options["output"])
        folder.mkdir(parents=True, exist_ok=True)
        draw(table, pictures, folder / "taken_away.png")


if __name__ == "__main__":
    main(sys.argv[1:])
