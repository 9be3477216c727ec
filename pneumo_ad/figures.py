"""The paper's figures from arrays: nothing here reads a file, a run or a config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from pneumo_ad.patches import PatchGrid

RED = "#d62728"
# Of kinds of patch and origins; told apart in grey and by the colour-blind.
COLOURS = {
    "normal_lung": "#1b9e77",
    "normal": "#7570b3",
    "pneumonia": "#d95f02",
    "healthy": "#1b9e77",
    "opacity": "#d95f02",
    "outside": "#666666",
}
NAMES = {
    "normal_lung": "normal lung",
    "normal": "normal radiograph, every window",
    "pneumonia": "pneumonia radiograph, every window",
    "healthy": "healthy lung",
    "opacity": "opacity",
    "outside": "outside the lung",
}
_SQUARE = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
_STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "white",
}


def _figure(width: float, height: float) -> Figure:
    with mpl.rc_context(_STYLE):
        return Figure(figsize=(width, height), layout="constrained")


def reconstruction_panel(
    x: npt.NDArray[np.floating], reconstruction: npt.NDArray[np.floating], sad: npt.NDArray[np.floating], title: str
) -> Figure:
    """Figs. 7 and 8: a column per patch with input, reconstruction, the grey-value histogram of each, and SAD.

    Args:
        x: (n, p, p) inputs in [0, 1].
        reconstruction: (n, p, p).
        sad: (n,) mean grey levels per pixel.
        title: Above the panel.
    """
    n = len(x)
    with mpl.rc_context(_STYLE):
        figure = _figure(1.15 * n + 1.1, 4.9)
        axes = figure.subplots(4, n, squeeze=False, gridspec_kw={"height_ratios": [1, 1, 0.55, 0.55]})
        for column in range(n):
            for row, picture in enumerate((x[column], reconstruction[column])):
                axes[row, column].imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
                axes[row, column].set(xticks=[], yticks=[])
                axes[row, column].spines[:].set_visible(False)
                levels = np.clip(np.rint(picture * 255), 0, 255)
                # stairs is one artist where hist is 64: panels are drawn while training waits.
                counts, edges = np.histogram(levels, bins=64, range=(0, 256))
                axes[row + 2, column].stairs(counts, edges, fill=True, color="0.35")
                axes[row + 2, column].set(xlim=(0, 255), yticks=[], xticks=[0, 255])
                axes[row + 2, column].spines["left"].set_visible(False)
            axes[2, column].set_xticklabels([])
            axes[3, column].set_xlabel(f"SAD {sad[column]:.2f}", fontweight="bold")
        names = ("input", "reconstruction", "input,\ngrey values", "reconstruction,\ngrey values")
        for row, name in enumerate(names):
            axes[row, 0].set_ylabel(name, rotation=0, ha="right", va="center")
        figure.suptitle(title)
    return figure


def score_histogram(
    scores: Mapping[str, npt.NDArray[np.floating]],
    thresholds: Sequence[float] = (),
    unit: str = "SAD (grey levels per pixel)",
    title: str = "",
) -> Figure:
    """Fig. 9: how the scores of patches are spread, one outline per group, thresholds as vertical lines.

    Args:
        scores: By name (`COLOURS`), scores of any number; empty groups are left out.
        thresholds: Scores to mark.
        unit: Of the scores.
        title: Above the figure.
    """
    groups = {name: np.asarray(values).ravel() for name, values in scores.items() if np.size(values)}
    with mpl.rc_context(_STYLE):
        figure = _figure(6.4, 3.6)
        axis = figure.subplots()
        everything = np.concatenate(list(groups.values())) if groups else np.zeros(1)
        low, high = np.quantile(everything, [0, 0.995])
        bins = np.linspace(min(low, 0), high if high > low else low + 1, 81).tolist()
        for name, values in groups.items():
            counts, _ = np.histogram(np.minimum(values, bins[-1]), bins=bins)
            share, colour = 100 * counts / len(values), COLOURS.get(name, "0.5")
            axis.stairs(share, bins, fill=True, alpha=0.25, color=colour)
            axis.stairs(
                share, bins, color=colour, linewidth=1.4, label=f"{NAMES.get(name, name)} (n = {len(values):,})"
            )
        for value in thresholds:
            axis.axvline(min(value, bins[-1]), color="black", linestyle="--", linewidth=1)
        if len(thresholds):
            axis.plot([], [], color="black", linestyle="--", linewidth=1, label="thresholds, fitted on validation")
        axis.set(xlabel=f"{unit}; the last bar holds all above", ylabel="share of the group's patches (%)", title=title)
        axis.set_xlim(bins[0], bins[-1])
        if groups:
            axis.legend(frameon=False, loc="upper right")
    return figure


def red_frames(
    images: Sequence[npt.NDArray[np.uint8]],
    scores: npt.NDArray[np.floating],
    grid: PatchGrid,
    ranges: Sequence[tuple[float, float]],
    names: Sequence[str],
    unit: str = "SAD",
    opacities: Sequence[npt.NDArray[np.uint8] | None] | None = None,
) -> Figure:
    """Fig. 10: a red frame round every patch whose score lies in a range; a row per radiograph, a column per range.

    Args:
        images: (H, W) uint8 each.
        scores: (n, N) of the windows.
        grid: The windows.
        ranges: Low (included) and high (excluded) of each column.
        names: Of the radiographs.
        unit: Of the scores.
        opacities: (H, W) truth masks to outline in the first column, or None.
    """
    with mpl.rc_context(_STYLE):
        height, width = grid.image_size
        figure = _figure(2.3 * (len(ranges) + 1), 2.3 * height / width * len(images) + 0.5)
        axes = figure.subplots(len(images), len(ranges) + 1, squeeze=False)
        for row, image in enumerate(images):
            for column, axis in enumerate(axes[row]):
                axis.imshow(image, cmap="gray", vmin=0, vmax=255)
                axis.set(xticks=[], yticks=[])
                axis.spines[:].set_visible(False)
                if column:
                    low, high = ranges[column - 1]
                    inside = (scores[row] >= low) & (scores[row] < high)
                    corners = grid.positions[inside][:, None, ::-1] - 0.5 + _SQUARE * grid.patch
                    # One collection: thousands of single frames would take a minute to draw.
                    axis.add_collection(PolyCollection(corners, facecolors="none", edgecolors=RED, linewidths=0.8))
                    axis.set_xlabel(f"{int(inside.sum())} of {len(grid)} patches", fontsize=7)
                    if not row:
                        above = "" if np.isinf(high) else f" – {high:.3g}"
                        axis.set_title(f"{unit} {low:.3g}{above}" if above else f"{unit} ≥ {low:.3g}", fontsize=9)
                else:
                    mask = opacities[row] if opacities is not None else None
                    if mask is not None and mask.any():
                        axis.contour(mask, levels=[0.5], colors=[COLOURS["opacity"]], linewidths=0.9)
                    axis.set_ylabel(names[row], fontsize=7)
                    if not row:
                        axis.set_title(
                            "radiograph" + (", opacity outlined" if opacities is not None else ""), fontsize=9
                        )
    return figure


def anomaly_maps(
    images: Sequence[npt.NDArray[np.uint8]],
    maps: Sequence[npt.NDArray[np.floating]],
    names: Sequence[str],
    unit: str,
    opacities: Sequence[npt.NDArray[np.uint8] | None] | None = None,
) -> Figure:
    """Radiographs above their anomaly maps on one common scale; uncovered pixels stay empty.

    Args:
        images: (H, W) uint8 each.
        maps: (H, W) each, NaN where no window lies.
        names: Of the radiographs.
        unit: Of the maps.
        opacities: (H, W) truth masks to outline, or None.
    """
    with mpl.rc_context(_STYLE):
        height, width = images[0].shape
        figure = _figure(1.9 * len(images) + 0.9, 2 * 1.9 * height / width + 0.7)
        axes = figure.subplots(2, len(images), squeeze=False)
        top = float(np.nanquantile(np.stack(maps), 0.995))
        for column, image in enumerate(images):
            axes[0, column].imshow(image, cmap="gray", vmin=0, vmax=255)
            axes[0, column].set_title(names[column], fontsize=7)
            shown = axes[1, column].imshow(maps[column], cmap="inferno", vmin=0, vmax=top)
            for row, colour in ((0, COLOURS["opacity"]), (1, "white")):
                axes[row, column].set(xticks=[], yticks=[])
                axes[row, column].spines[:].set_visible(False)
                mask = opacities[column] if opacities is not None else None
                if mask is not None and mask.any():
                    axes[row, column].contour(mask, levels=[0.5], colors=[colour], linewidths=0.9)
        figure.colorbar(shown, ax=axes[1, :].tolist(), shrink=0.9).set_label(unit, fontsize=7)
    return figure


def grad_cam_panel(
    images: Sequence[npt.NDArray[np.uint8]],
    cams: Sequence[npt.NDArray[np.floating]],
    lung_fields: Sequence[npt.NDArray[np.uint8]],
    names: Sequence[str],
    shares: Sequence[float],
) -> Figure:
    """Fig. 2: radiographs above the same with Grad-CAM laid over, the lung field outlined, its share printed below.

    Args:
        images: (H, W) uint8 each.
        cams: (H, W) each, at least 0; each is drawn against its own largest value.
        lung_fields: (H, W) of 0 and 1 each.
        names: Of the radiographs.
        shares: Share of each map's mass inside its lung field, in [0, 1]; NaN where the map is 0 everywhere.
    """
    with mpl.rc_context(_STYLE):
        height, width = images[0].shape
        figure = _figure(1.75 * len(images) + 0.8, 2 * 1.7 * height / width + 0.7)
        axes = figure.subplots(2, len(images), squeeze=False)
        for column, (image, cam, field, share) in enumerate(zip(images, cams, lung_fields, shares, strict=True)):
            for axis in axes[:, column]:
                axis.imshow(image, cmap="gray", vmin=0, vmax=255)
                axis.set(xticks=[], yticks=[])
                axis.spines[:].set_visible(False)
                if field.any():
                    axis.contour(field, levels=[0.5], colors=["#56b4e9"], linewidths=0.9)
            axes[0, column].set_title(names[column], fontsize=7)
            strength = cam / (cam.max() or 1)
            # What it does not look at stays as it is: see-through where the map is 0.
            axes[1, column].imshow(strength, cmap="inferno", vmin=0, vmax=1, alpha=0.75 * np.sqrt(strength))
            of_area = f"lung field: {field.mean():.0%} of the area"
            share_words = "0 everywhere" if np.isnan(share) else f"{share:.0%} in the lung field"
            axes[1, column].set_xlabel(f"Grad-CAM: {share_words}\n{of_area}", fontsize=6.5)
        axes[0, 0].set_ylabel("radiograph, lung field outlined", fontsize=7)
        axes[1, 0].set_ylabel("with Grad-CAM of pneumonia", fontsize=7)
        bar = figure.colorbar(ScalarMappable(cmap="inferno"), ax=axes[1, :].tolist(), shrink=0.9, pad=0.01)
        bar.set_label("share of its own maximum", fontsize=7)
        bar.ax.tick_params(labelsize=6.5)
    return figure
