"""Pictures of these pages, drawn from phantoms: python docs/pictures.py [NAME ...].

The same command draws the same pictures; `overview` runs the detector that ships on 400 phantoms, which takes minutes.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib as mpl
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.special import logit

import pneumo_ad
from pneumo_ad import drawings
from pneumo_ad.data.phantom import Phantom, draw_phantom
from pneumo_ad.evaluation.matching import match
from pneumo_ad.figures import COLOURS, NAMES
from pneumo_ad.figures.style import STYLE, draw_outline, page, show
from pneumo_ad.labels import HEALTHY, KINDS, OPACITY, OUTSIDE, RADIOGRAPH
from pneumo_ad.metrics import true_kinds
from pneumo_ad.metrics.conformal import conformal_threshold, p_values
from pneumo_ad.metrics.shortcuts import WORDS, image_shortcuts, shortcut_aurocs, spoken
from pneumo_ad.metrics.thresholds import Conformal, MultiOtsu, NormalQuantiles, fit_kinds
from pneumo_ad.nets import Output
from pneumo_ad.patches import PatchGrid, gather
from pneumo_ad.scores import Brightness

FOLDER = Path(__file__).with_name("pictures")
SIZE, DOTS = 256, 130  # side of a radiograph, pixels; dots per inch
PATIENT = 26  # seed of the phantom that most pictures show
WINDOWS = PatchGrid((SIZE, SIZE), patch=32, stride=20)


def fitted(seed: int, pneumonia: bool = True) -> Phantom:
    """Draw a phantom and squash it to the size that nets see."""
    phantom = draw_phantom(seed, pneumonia=pneumonia, size=320)

    def resized(picture: np.ndarray, how: Image.Resampling) -> np.ndarray:
        return np.array(Image.fromarray(picture).resize((SIZE, SIZE), how))

    lung, opacity = (resized(mask, Image.Resampling.NEAREST) for mask in (phantom.lung, phantom.opacity))
    return Phantom(resized(phantom.image, Image.Resampling.BILINEAR), lung, opacity, phantom.finding)


def kinds_of(phantom: Phantom, grid: PatchGrid) -> np.ndarray:
    """Return the true kind of each window, (N,)."""
    lung, opacity = (grid.window_shares(mask[None])[0] for mask in (phantom.lung, phantom.opacity))
    return true_kinds(lung, opacity)


def frame(axis: Axes, top: float, left: float, side: float, colour: str, width: float = 2.0) -> None:
    """Draw the frame of a window."""
    corner = (left - 0.5, top - 0.5)
    axis.add_patch(Rectangle(corner, side, side, fill=False, edgecolor=colour, linewidth=width))


def windows() -> Figure:
    """Draw every window of a radiograph, and a few patches."""
    phantom = fitted(PATIENT)
    kinds = kinds_of(phantom, WINDOWS)
    figure = page(6.0, 3.6)
    left, right = figure.subfigures(1, 2, width_ratios=[3.2, 1])
    axis = left.subplots()
    show(axis, phantom.image)
    for top, beside in WINDOWS.positions:
        frame(axis, top, beside, 32, "white", 0.3)
    for cell, kind in zip(right.subplots(3, 1), (HEALTHY, OPACITY, OUTSIDE), strict=True):
        chosen = np.flatnonzero(kinds == kind)
        top, beside = WINDOWS.positions[chosen[len(chosen) // 2]]
        colour = COLOURS[KINDS[kind]] if kind != OUTSIDE else "#56b4e9"
        frame(axis, top, beside, 32, colour)
        show(cell, gather(phantom.image[None], np.array([[0, top, beside]]), 32)[0, 0], sharp=True)
        cell.set_title(RADIOGRAPH.fill(NAMES[KINDS[kind]]), color=colour)
    return figure


def stride() -> Figure:
    """Draw maps of one score at three strides."""
    image = fitted(PATIENT).image
    x = torch.from_numpy(image)[None, None] / 255
    figure = page(6.0, 4.4)
    axes = figure.subplots(2, 3)
    for above, below, step in zip(*axes, (32, 20, 8), strict=True):
        grid = PatchGrid((SIZE, SIZE), patch=32, stride=step)
        scores = Brightness().residual_map(grid.extract(x), Output(x)).mean(dim=(2, 3, 4))
        anomalies = grid.stitch(scores[..., None, None, None].expand(-1, -1, 1, 32, 32))[0, 0].numpy()
        above.set_facecolor("0.6")
        show(above, anomalies, cmap="inferno")
        above.set_title(f"stride={step}: {len(grid)} windows")
        per_pixel = np.where(grid.covered, grid.windows_per_pixel, np.nan)
        below.set_facecolor("0.6")
        show(below, per_pixel, (0, 16), "viridis")
        below.set_xlabel(f"1 to {int(np.nanmax(per_pixel))} windows per pixel" if step < 32 else "1 window per pixel")
    return figure


def halo() -> Figure:
    """Draw two patches as a net sees them, without and with a halo."""
    image = fitted(PATIENT).image
    figure = page(6.4, 3.4)
    left, right = figure.subfigures(1, 2, width_ratios=[1.35, 1])
    axis, cells = left.subplots(), right.subplots(2, 2)
    show(axis, image)
    for row, (top, beside, colour) in enumerate(((120, 60, "#56b4e9"), (224, 120, "#e69f00"))):
        frame(axis, top, beside, 32, colour)
        place = np.array([[0, top, beside]])
        alone = np.pad(gather(image[None], place, 32)[0, 0], 12)
        for cell, patch, title in zip(
            cells[row], (alone, gather(image[None], place, 32, halo=12)[0, 0]), ("halo=0", "halo=12"), strict=True
        ):
            show(cell, patch, sharp=True)
            frame(cell, 12, 12, 32, colour)
            if not row:
                cell.set_title(title)
    return figure


def kinds() -> Figure:
    """Draw the kind of each window, and patches of each kind."""
    phantom = fitted(PATIENT)
    grid = PatchGrid((SIZE, SIZE), patch=32, stride=8)
    truth = kinds_of(phantom, grid)
    figure = page(7.0, 2.9)
    parts = figure.subfigures(1, 2, width_ratios=[2.2, 1])
    left, middle = parts[0].subplots(1, 2)
    show(left, phantom.image)
    draw_outline(left, phantom.lung.astype(np.uint8), "#56b4e9")
    draw_outline(left, phantom.opacity.astype(np.uint8), COLOURS["opacity"])
    left.set_title("lung and opacity outlined")
    show(middle, phantom.image)
    cells = parts[1].subplots(3, 3)
    for row, kind in enumerate((HEALTHY, OPACITY, OUTSIDE)):
        name = KINDS[kind]
        places = grid.positions[truth == kind]
        for top, beside in places:
            middle.add_patch(Rectangle((beside + 11.5, top + 11.5), 8, 8, color=COLOURS[name], alpha=0.55, linewidth=0))
        chosen = places[np.linspace(0, len(places) - 1, 5).astype(int)[1:4]]
        cut = gather(phantom.image[None], np.column_stack([np.zeros(3, dtype=int), chosen]), 32)
        for cell, patch in zip(cells[row], cut[:, 0], strict=True):
            show(cell, patch, sharp=True)
        cells[row, 1].set_title(RADIOGRAPH.fill(NAMES[name]), color=COLOURS[name])
    middle.set_title("kind of each window")
    return figure


def thresholds() -> Figure:
    """Draw scores of windows by kind and the thresholds of three rules."""
    by_kind: dict[int, list[np.ndarray]] = {HEALTHY: [], OPACITY: [], OUTSIDE: []}
    ill: list[np.ndarray] = []
    normal_lung: list[np.ndarray] = []
    for seed in range(60):
        phantom = fitted(seed, pneumonia=seed % 2 == 1)
        scores = WINDOWS.window_means(torch.from_numpy(phantom.image)[None].double())[0].numpy().ravel()
        truth = kinds_of(phantom, WINDOWS)
        for kind, held in by_kind.items():
            held.append(scores[truth == kind])
        (ill if seed % 2 else normal_lung).append(scores if seed % 2 else scores[truth == HEALTHY])
    figure = page(7.0, 2.8)
    axis = figure.subplots()
    for kind, held in by_kind.items():
        values, name = np.concatenate(held), KINDS[kind]
        each = np.full(len(values), 100 / len(values))
        axis.hist(
            values,
            np.arange(0, 256, 8),
            weights=each,
            color=COLOURS[name],
            alpha=0.45,
            label=RADIOGRAPH.fill(NAMES[name]),
        )
    rules = {"otsu": MultiOtsu(), "quantiles": NormalQuantiles(), "conformal": Conformal()}
    for (name, rule), style in zip(rules.items(), ("-", "--", ":"), strict=True):
        low = fit_kinds(rule, np.concatenate(normal_lung), np.concatenate(ill), three=False).low
        axis.axvline(low, color="black", linestyle=style, label=f"threshold={name}: {low:.1f}")
    axis.set(xlabel="mean brightness of the window (grey levels)", ylabel="share of the windows of a kind (%)")
    figure.legend(loc="outside right upper")
    return figure


def conformal() -> Figure:
    """Draw p-values of two radiographs, and realised false-alarm rates of many sets of normals."""
    rng = np.random.default_rng(1)
    normals = rng.gamma(6, 1, 39)
    threshold = conformal_threshold(normals, 0.05)
    new = np.array([np.sort(normals)[25] + 0.05, threshold + 2.0])
    figure = page(7.0, 2.8)
    left, right = figure.subplots(1, 2)
    left.plot(normals, np.zeros(39), "o", color=COLOURS["healthy"], alpha=0.6, label="39 held-out normals")
    left.axvline(threshold, color="black", linestyle="--", label="threshold of 5 %")
    for score, p, above in zip(new, p_values(new, normals), (0.35, 0.35), strict=True):
        left.annotate(
            f"p = {p:.3f}", (score, 0.0), (score, above), ha="center", arrowprops={"arrowstyle": "->", "color": "0.3"}
        )
        left.plot(score, 0, "D", color=COLOURS["opacity"])
    left.set(ylim=(-0.3, 1), yticks=[], xlabel="score of the radiograph")
    left.spines["left"].set_visible(False)
    left.legend(loc="upper left")
    for count, colour in ((20, "#d95f02"), (50, "#7570b3"), (200, "#1b9e77")):
        sets = rng.uniform(size=(4000, count))  # only ranks matter: any distribution gives the same
        realised = 100 * (1 - np.array([conformal_threshold(one, 0.05) for one in sets]))
        right.hist(realised, np.arange(0, 20.1, 0.5), histtype="step", color=colour, label=f"{count} normals")
        right.plot(realised.mean(), 0, "|", color=colour, markersize=22, markeredgewidth=2)
    right.axvline(5, color="black", linestyle="--", linewidth=1)
    right.set(xlabel="normals called anomalous (%), 5 declared", ylabel="draws", xlim=(0, 20))
    right.legend()
    return figure


def dulled() -> tuple[np.ndarray, np.ndarray, np.ndarray, pd.DataFrame]:
    """Draw 80 normals, the second half blurred: (N, H, W) images and lung fields, (N,) whether blurred, and a table."""
    phantoms = [fitted(seed, pneumonia=False) for seed in range(100, 180)]
    blurred = np.arange(80) >= 40
    images = np.stack(
        [
            np.rint(gaussian_filter(one.image.astype(np.float32), 0.8)).astype(np.uint8) if dull else one.image
            for one, dull in zip(phantoms, blurred, strict=True)
        ]
    )
    table = pd.DataFrame({"top": 0, "left": 0, "fitted_height": SIZE, "fitted_width": SIZE}, index=range(80))
    return (
        images,
        np.stack([one.lung for one in phantoms]).astype(np.uint8),
        blurred,
        table.assign(height=SIZE, width=SIZE, bytes=[len(png(image)) for image in images]),
    )


def png(image: np.ndarray) -> bytes:
    """Return the bytes of a radiograph as a PNG file."""
    with TemporaryDirectory() as folder:
        Image.fromarray(image).save(file := Path(folder) / "one.png")
        return file.read_bytes()


def bars(axis: Axes, found: dict[str, pneumo_ad.metrics.Interval], names: list[str], move: float, colour: str) -> None:
    """Draw an AUROC with its interval for each name, in rows from the top."""
    for row, name in enumerate(names):
        if name in found:
            value, low, high = found[name]
            axis.plot([low, high], [row + move, row + move], color=colour, linewidth=2)
            axis.plot(value, row + move, "o", color=colour)
    axis.axvline(0.5, color="black", linewidth=0.8, linestyle="--")
    axis.set(xlim=(-0.03, 1.03), yticks=range(len(names)), yticklabels=[spoken(name) for name in names])
    axis.set(xlabel="AUROC (95 % interval)", ylim=(len(names) - 0.5, -0.5))


def shortcuts() -> Figure:
    """Draw the AUROC of each shortcut where nobody is ill and half is blurred."""
    images, lungs, blurred, table = dulled()
    found, _ = shortcut_aurocs(image_shortcuts(images, table, lungs), blurred, ~blurred, np.arange(80))
    figure = page(6.6, 3.1)
    left, right = figure.subfigures(1, 2, width_ratios=[1, 2.2])
    for cell, row, title in zip(left.subplots(2, 1), (3, 43), ('"normal"', '"pneumonia": blurred'), strict=True):
        show(cell, images[row][96:160, 40:104], sharp=True)
        cell.set_title(title)
    bars(right.subplots(), found, [name for name in WORDS if name in found], 0, COLOURS["opacity"])
    return figure


def matched() -> Figure:
    """Draw radiographs before and after matching, and the shortcuts of the lung before and after."""
    images, lungs, blurred, table = dulled()
    result = match(images, lungs)
    rows = result.reached
    figure = page(7.0, 3.1)
    left, right = figure.subfigures(1, 2, width_ratios=[1.25, 1.6])
    cells = left.subplots(2, 2)
    for line, row, name in zip(cells, (3, 43), ("sharp", "blurred"), strict=True):
        for cell, picture in zip(line, (images[row], result.images[row]), strict=True):
            show(cell, picture)
        line[0].set_ylabel(name)
    cells[0, 0].set_title("before")
    cells[0, 1].set_title("after")
    axis = right.subplots()
    names = ["lung_area", "lung_brightness", "lung_contrast", "lung_sharpness"]
    both = ((images, -0.12, "before", COLOURS["opacity"]), (result.images, 0.12, "after", COLOURS["healthy"]))
    for pictures, move, word, colour in both:
        values = image_shortcuts(pictures[rows], table[rows].reset_index(drop=True), lungs[rows])
        found, _ = shortcut_aurocs(values, blurred[rows], ~blurred[rows], np.flatnonzero(rows))
        bars(axis, found, names, move, colour)
        axis.plot([], [], "o", color=colour, label=word)
    axis.legend()
    axis.set_title(f"{rows.sum()} of 80 radiographs; {(~rows).sum()} could not be matched")
    return figure


def families() -> Figure:
    """Draw an anomaly of each family into one phantom, and each distractor."""
    above = ("Veils", "Effusions", "Spots", "Lines", "Pastes", "Consolidations")
    below = ("Blends", "Swells", "Deformations", "Haze", "Shade", "Devices")
    both = [fitted(seed, pneumonia=False) for seed in (PATIENT, PATIENT + 1)]  # some take texture of another radiograph
    x = torch.from_numpy(np.stack([one.image for one in both]))[:, None].float() / 255
    lung = torch.from_numpy(np.stack([one.lung for one in both]))[:, None].float()
    figure = page(8.4, 3.2)
    axes = figure.subplots(2, 6)
    for axis, name in zip(axes.flat, above + below, strict=True):
        draws = [getattr(drawings, name)()(x, lung, torch.Generator().manual_seed(seed)) for seed in range(12)]
        # The draw that is seen best, of those that leave most of the lung as it is.
        local = [drawn for drawn in draws if drawn.mask[0].sum() < 0.4 * lung[0].sum()]
        drawn = max(local, key=lambda one: float((one.x[0] - x[0]).abs().mean()))
        show(axis, 255 * drawn.x[0, 0].numpy())
        draw_outline(axis, drawn.mask[0, 0].numpy().astype(np.uint8), COLOURS["opacity"])
        axis.set_title(name.lower() + (" (distractor)" if name in below[3:] else ""))
    return figure


def overview() -> Figure:
    """Draw phantoms with an opacity, the detector's overlays, and scores of phantoms without and with an opacity."""
    patients = range(1000, 1100)
    with TemporaryDirectory() as place:
        folder = Path(place)
        for part in ("normals", "input"):
            (folder / part).mkdir()
        for seed in range(200):
            Image.fromarray(draw_phantom(seed, pneumonia=False, size=512).image).save(folder / f"normals/{seed}.png")
        for seed in patients:
            for sick in (False, True):
                image = draw_phantom(seed, pneumonia=sick, size=512).image
                Image.fromarray(image).save(folder / f"input/{seed}_{sick:d}.png")
        found = folder / "found"
        pneumo_ad.predict(input=folder / "input", calibrate=folder / "normals", output=found)
        table = pd.read_csv(found / "predictions.csv", index_col="file")
        well, ill = (table.loc[[f"{seed}_{sick}.png" for seed in patients]] for sick in (0, 1))
        # Quartiles by score of those that are called anomalous: neither the best nor the worst.
        called = np.flatnonzero(ill["anomalous"].astype(bool))
        order = called[np.argsort(ill["score"].to_numpy()[called])]
        figure = page(8.4, 4.0)
        left, right = figure.subfigures(1, 2, width_ratios=[2, 1.1])
        cells = left.subplots(2, 3)
        for (above, below), quartile in zip(cells.T, (0.25, 0.5, 0.75), strict=True):
            seed = patients[order[int(quartile * len(order))]]
            phantom = draw_phantom(seed, pneumonia=True, size=512)
            height, width = phantom.image.shape
            show(above, phantom.image)
            draw_outline(above, phantom.opacity.astype(np.uint8), COLOURS["opacity"])
            with Image.open(found / f"overlays/{seed}_1.png.png") as picture:
                beside = (picture.width - width) // 2
                overlay = picture.convert("RGB").crop((beside, 0, beside + width, height))  # without the words beneath
            show(below, np.asarray(overlay) / 255)
    cells[0, 1].set_title("drawn patients, their opacities outlined")
    cells[1, 1].set_title("what the detector finds")
    axis = right.subplots()
    scale = np.linspace(1, 9, 33)
    for part, name, words in ((well, "healthy", "without an opacity"), (ill, "opacity", "with an opacity")):
        odds = np.clip(logit(part["score"]), *scale[[0, -1]])
        label = f"{words}: {part['anomalous'].sum()} of {len(part)} called"
        axis.hist(odds, scale, color=COLOURS[name], alpha=0.5, label=label)
    bound = logit(table.loc[~table["anomalous"].astype(bool), "score"].max())
    axis.axvline(bound, color="black", linestyle="--", label="declared 5 %, by 200 drawn normals")
    axis.set(xlabel="score of the radiograph (log odds)", ylabel="drawn patients")
    right.legend(loc="outside upper left", fontsize=7)
    return figure


PICTURES: dict[str, Callable[[], Figure]] = {
    "windows": windows, "stride": stride, "halo": halo, "kinds": kinds, "thresholds": thresholds,
    "conformal": conformal, "shortcuts": shortcuts, "matched": matched, "drawings": families, "overview": overview,
}  # fmt: skip


def main(names: list[str]) -> None:
    """Draw the pictures named, or all."""
    FOLDER.mkdir(exist_ok=True)
    for name in names or PICTURES:
        with mpl.rc_context(STYLE):
            figure = PICTURES[name]()
            figure.savefig(file := FOLDER / f"{name}.png", dpi=DOTS, facecolor="white", metadata={"Software": None})
        with Image.open(file) as drawn:
            drawn.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(file, optimize=True)
        print(f"{file}: {file.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
