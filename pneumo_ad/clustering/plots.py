"""Figures of clusters of windows: projection of features, difference images, and maps on radiographs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import torch
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from pneumo_ad.figures import COLOURS, Proportions
from pneumo_ad.figures.style import STYLE, draw_outline, page, show
from pneumo_ad.labels import RADIOGRAPH, Vocabulary
from pneumo_ad.patches import PatchGrid

# Healthy lung, opacity and outside; grey, the usual colour of outside, would not be visible on a radiograph.
CLUSTER_COLOURS = (COLOURS["healthy"], COLOURS["opacity"], COLOURS["normal"])
_POINTS = 3000
_TELLING = 0.35  # loading from which a component is named after a feature


def projection(
    features: npt.NDArray[np.floating],
    groupings: Mapping[str, Mapping[str, npt.NDArray[np.bool_]]],
    names: Sequence[str],
    title: str,
) -> Figure:
    """Draw windows in the plane of the first two principal components of their features, a panel per grouping.

    Args:
        features: (n, d) standardised features; one plane for all panels, which differ in colour alone.
        groupings: Caption of the panel -> name of the group -> (n,) bool, windows of the group. The three groups of a
            panel have the `CLUSTER_COLOURS`, in this order.
        names: Names of the d features; the labels of the axes list those with large loadings.
        title: Title above the figure.
    """
    centred = features - features.mean(axis=0)
    _, strength, axes = np.linalg.svd(centred, full_matrices=False)
    plane = centred @ axes[:2].T
    explained = strength[:2] ** 2 / (strength**2).sum()
    shown = np.random.default_rng(0).permutation(len(plane))[:_POINTS]  # the same in each panel
    low, high = np.quantile(plane, [0.002, 0.998], axis=0)
    margin = 0.06 * (high - low)
    with mpl.rc_context(STYLE):
        figure = page(3.5 * len(groupings) + 0.5, 4.1)
        panels = figure.subplots(1, len(groupings), squeeze=False, sharex=True, sharey=True)[0]
        for panel, (caption, groups) in zip(panels, groupings.items(), strict=True):
            colour = np.full((len(plane), 3), np.nan)
            for (name, chosen), hue in zip(groups.items(), CLUSTER_COLOURS, strict=True):
                colour[chosen] = to_rgb(hue)
                panel.scatter([], [], s=14, color=hue, label=f"{name} ({int(chosen.sum()):,})")
            visible = shown[~np.isnan(colour[shown, 0])]
            # One scatter in random order, so that no group hides another.
            panel.scatter(*plane[visible].T, s=4, c=colour[visible], alpha=0.5, linewidths=0)
            panel.set_title(caption, fontsize=9)
            panel.set_xlabel(f"first component, {explained[0]:.0%} of variance\n{_made_of(axes[0], names)}", fontsize=8)
            panel.tick_params(labelleft=True)
            panel.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.27), ncols=1, handletextpad=0.2)
        panels[0].set_ylabel(f"second component, {explained[1]:.0%}\n{_made_of(axes[1], names)}", fontsize=8)
        panels[0].set(xlim=(low[0] - margin[0], high[0] + margin[0]), ylim=(low[1] - margin[1], high[1] + margin[1]))
        figure.suptitle(title, fontsize=10)
    return figure


def _made_of(loadings: npt.NDArray[np.floating], names: Sequence[str]) -> str:
    """Return the signed names of features with large loadings in a component, strongest first."""
    order = [i for i in np.argsort(-np.abs(loadings)) if abs(loadings[i]) >= _TELLING]
    words = [name.replace("_", " ").replace("sad", "SAD") for name in names]
    return "  ".join(f"{'+' if loadings[i] > 0 else '−'} {words[i]}" for i in order)


def draw_difference_images(
    patches: Sequence[npt.NDArray[np.floating]], residuals: Sequence[npt.NDArray[np.floating]], names: Sequence[str]
) -> Figure:
    """Draw windows of each cluster above their difference images, on one scale around 0.

    Args:
        patches: (n, p, p) grey levels for each cluster; n may differ, and may be 0.
        residuals: (n, p, p) input less reconstruction in grey levels, for each cluster.
        names: Names of the clusters.
    """
    columns = max(1, *(len(part) for part in patches))
    everything = np.concatenate([part.ravel() for part in residuals])
    reach = max(float(np.quantile(np.abs(everything), 0.99)), 1e-3) if everything.size else 1.0
    with mpl.rc_context(STYLE):
        figure = page(0.95 * columns + 1.9, 1.95 * len(patches) + 0.2)
        axes = figure.subplots(2 * len(patches), columns, squeeze=False)
        for axis in axes.ravel():
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
        for cluster, (windows, differences) in enumerate(zip(patches, residuals, strict=True)):
            above, below = axes[2 * cluster], axes[2 * cluster + 1]
            for column in range(len(windows)):
                above[column].imshow(windows[column], cmap="gray", vmin=0, vmax=255, interpolation="nearest")
                drawn = below[column].imshow(
                    differences[column], cmap="RdBu_r", vmin=-reach, vmax=reach, interpolation="nearest"
                )
            words = {"rotation": 0, "ha": "right", "va": "center", "fontsize": 8}
            above[0].set_ylabel(names[cluster], color=CLUSTER_COLOURS[cluster], fontweight="bold", **words)
            below[0].set_ylabel("difference", **words)
        if everything.size:
            bar = figure.colorbar(drawn, ax=axes[:, -1].tolist(), shrink=0.5, extend="both", aspect=30)
            bar.set_label("input less reconstruction (grey levels)", fontsize=8)
    return figure


def where_clusters_lie(
    images: Sequence[npt.NDArray[np.uint8]],
    clusters: Mapping[str, npt.NDArray[np.integer]],
    grid: PatchGrid,
    names: Sequence[str],
    cluster_names: Sequence[str],
    outlines: Sequence[tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]] | None],
    proportions: Sequence[Proportions] | None = None,
    terms: Vocabulary = RADIOGRAPH,
) -> Figure:
    """Draw radiographs painted in the colours of the clusters, a row per clustering.

    A pixel has the colour of the cluster of most windows that cover it.

    Args:
        images: n radiographs, each (H, W) uint8.
        clusters: Name of the clustering -> (n, N) clusters of the windows.
        grid: Grid of the N windows.
        names: Names of the radiographs.
        cluster_names: Names of clusters 0, 1 and 2.
        outlines: True (lung, opacity) masks of each radiograph, (H, W) bool each, or None where not known.
        proportions: Proportions of each radiograph; None for square pixels.
        terms: Words of the run.
    """
    proportions = proportions or Proportions.as_seen(images)
    tallest = max(shape.ratio for shape in proportions)
    palette = np.array([to_rgb(hue) for hue in CLUSTER_COLOURS])
    with mpl.rc_context(STYLE):
        figure = page(2.0 * len(images) + 0.4, 2.0 * tallest * (len(clusters) + 1) + 0.6)
        axes = figure.subplots(len(clusters) + 1, len(images), squeeze=False)
        for column, image in enumerate(images):
            grey = np.repeat(image[..., None] / 255, 3, axis=2)
            show(axes[0, column], grey, shape=proportions[column])
            axes[0, column].set_title(names[column], fontsize=7)
            for row, numbers in enumerate(clusters.values(), start=1):
                of_windows = torch.from_numpy(np.eye(len(palette))[numbers[column]]).permute(1, 0)
                share = grid.paint(of_windows)[:, 0].numpy()  # (3, H, W)
                painted = 0.6 * grey + 0.4 * palette[np.nan_to_num(share).argmax(axis=0)]
                coloured = np.where(grid.covered[..., None], painted, grey)
                show(axes[row, column], coloured, shape=proportions[column])
            outline = outlines[column]
            for axis in axes[:, column]:
                axis.set_anchor("N")
                for mask, style in zip(outline or (), (":", "-"), strict=outline is not None):
                    draw_outline(axis, mask.astype(np.uint8), "white", style)
        for row, name in enumerate([terms.image, *clusters]):
            axes[row, 0].set_ylabel(name, fontsize=8)
        handles = [Patch(color=hue, label=name) for hue, name in zip(CLUSTER_COLOURS, cluster_names, strict=True)]
        if any(outline is not None for outline in outlines):
            figure.supxlabel(f"white: {terms.region} (dotted) and {terms.anomaly} (solid) as the masks say", fontsize=8)
        figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), fontsize=8)
    return figure
